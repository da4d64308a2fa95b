// What a dashboard file may have in it, by Grafana's own types. They leave open what the options of a panel are, and its
// queries: here each kind of panel has those of its plugin, so that a misspelt key is an error at any depth.

import type { AnnotationQuery, Dashboard as AnyDashboard, DataSourceRef, FieldConfig, FieldConfigSource, Panel, RowPanel } from '@grafana/schema';
import type { FieldConfig as HeatmapField, Options as HeatmapOptions } from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { FieldConfig as TableField, Options as TableOptions } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { FieldConfig as LineField, Options as LineOptions } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON has the values of an enum of texts, and TypeScript takes only their names.
type Plain<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T
    : T extends (infer Item)[]
      ? Plain<Item>[]
      : T extends object
        ? { [Key in keyof T]: Plain<T[Key]> }
        : T;

// The schema has no types of Prometheus' queries. These are the keys that Grafana 10 to 12 write.
interface Query {
  refId: string;
  datasource: DataSourceRef;
  editorMode: 'code';
  expr: string;
  format: 'time_series' | 'table' | 'heatmap';
  instant: boolean;
  range: boolean;
  legendFormat: string;
}

interface Field<Custom> extends Omit<FieldConfig, 'custom' | 'thresholds'> {
  custom?: Custom;
  // The base of thresholds is null in JSON, which has no infinity.
  thresholds?: { mode: 'absolute' | 'percentage'; steps: { color: string; value: number | null }[] };
}

interface PanelOf<Type extends string, Options, Custom> extends Omit<Panel, 'type' | 'options' | 'fieldConfig' | 'targets'> {
  type: Type;
  options: Options;
  fieldConfig: Omit<FieldConfigSource, 'defaults'> & { defaults: Field<Custom> };
  targets: Query[];
}

// The schema has no types of the list of alerts. These are the options that Grafana 10 to 12 write.
interface AlertList extends Omit<Panel, 'type' | 'options' | 'fieldConfig' | 'targets'> {
  type: 'alertlist';
  options: {
    alertInstanceLabelFilter: string;
    alertName: string;
    dashboardAlerts: boolean;
    datasource: string;
    groupBy: string[];
    groupMode: 'default' | 'custom';
    maxItems: number;
    showInactiveAlerts: boolean;
    sortOrder: 1 | 2 | 3 | 4 | 5;
    stateFilter: Record<'error' | 'firing' | 'noData' | 'normal' | 'pending' | 'recovering', boolean>;
    viewMode: 'list' | 'stat';
  };
}

interface Annotation extends AnnotationQuery {
  expr: string;
  step: string;
  titleFormat: string;
  textFormat: string;
  tagKeys: string;
  useValueForTime: boolean;
}

interface TypedDashboard extends Omit<AnyDashboard, 'annotations' | 'panels'> {
  annotations: { list: Annotation[] };
  panels: (
    | RowPanel
    | AlertList
    | PanelOf<'stat', StatOptions, never>
    | PanelOf<'timeseries', LineOptions, LineField>
    | PanelOf<'heatmap', HeatmapOptions, HeatmapField>
    | PanelOf<'table', TableOptions, TableField>
  )[];
}

export type Dashboard = Plain<TypedDashboard>;
