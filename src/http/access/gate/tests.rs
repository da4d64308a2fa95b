//! What a look takes over, and what it leaves to a reload.

use tempfile::TempDir;

use super::*;

const LOGIN: &str =
    "basic_auth_users:\n  ann: $2y$04$......................uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu\n";
const TLS: &str = "tls_server_config:\n  cert_file: tls.crt\n  key_file: tls.key\n";
const CLIENTS: &str = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: tls.crt\n";
const SANS: &str = "  client_allowed_sans: [ann]\n";

/// A folder with a web config, a certificate and its key.
struct Folder(TempDir);

// === impl Folder ===

impl Folder {
    fn new(web: &str) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder must be had"));
        folder.write_identity("tls");
        folder.write("web.yml", web);
        folder
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.path().join(file), text).expect("the file must be written");
    }

    fn write_identity(&self, name: &str) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("it must be made");
        self.write(&format!("{name}.crt"), &made.cert.pem());
        self.write(&format!("{name}.key"), &made.signing_key.serialize_pem());
    }

    /// What a reload does.
    fn reload(&self, gate: &Gate) {
        gate.install(gate.read(Some(&self.0.path().join("web.yml"))).expect("it must be of use"));
    }
}

#[test]
fn a_look_turns_nothing_off_that_keeps_others_out_and_a_reload_does() {
    let whole = format!("{TLS}{CLIENTS}{SANS}{LOGIN}");
    for (left, off) in [
        ("", "tls_server_config and client_auth_type and client_allowed_sans and basic_auth_users"),
        (LOGIN, "tls_server_config and client_auth_type and client_allowed_sans"),
        (&format!("{TLS}{LOGIN}"), "client_auth_type and client_allowed_sans"),
        (&format!("{TLS}{CLIENTS}{LOGIN}"), "client_allowed_sans"),
        (&format!("{TLS}{CLIENTS}{SANS}"), "basic_auth_users"),
        (&format!("{TLS}{CLIENTS}{SANS}basic_auth_users:\n"), "basic_auth_users"),
    ] {
        let (folder, gate) = (Folder::new(&whole), Gate::new());
        folder.reload(&gate);
        let before = gate.current();
        folder.write("web.yml", left);
        let (_, access) = gate.attempt(&folder.0.path().join("web.yml"));
        let access = access.expect("it must be right");
        let problems = access.keeps_out_as(&before, "web.yml").expect_err("it must be refused").join("; ");
        assert!(problems.contains(&format!("turns off {off}, which takes")), "{problems}");
        gate.look();
        assert!(Arc::ptr_eq(&before, &gate.current()), "{left}");
        let source = gate.source().clone().expect("it must be there");
        assert_eq!(source.seen(), source, "it is told once");
        folder.reload(&gate);
        assert!(!Arc::ptr_eq(&before, &gate.current()), "{left}");
    }
}

#[test]
fn a_look_takes_over_what_keeps_out_as_many_or_more() {
    let (folder, gate) = (Folder::new(LOGIN), Gate::new());
    folder.reload(&gate);
    for more in [format!("{LOGIN}rate_limit:\n  interval: 1s\n  burst: 3\n"), format!("{TLS}{LOGIN}")] {
        let before = gate.current();
        folder.write("web.yml", &more);
        gate.look();
        assert!(!Arc::ptr_eq(&before, &gate.current()), "{more}");
    }
    assert!(gate.speaks_tls() && gate.current().login.is_some());
}

#[test]
fn files_that_a_web_config_names_before_they_are_there_are_waited_for() {
    let (folder, gate) = (Folder::new(TLS), Gate::new());
    folder.reload(&gate);
    let before = gate.current();
    folder.write("web.yml", &TLS.replace("tls.", "renewed."));
    gate.look();
    assert!(Arc::ptr_eq(&before, &gate.current()), "it is refused");
    let source = gate.source().clone().expect("it must be there");
    assert_eq!(source.seen(), source, "it is told once");
    folder.write_identity("renewed");
    gate.look();
    assert!(!Arc::ptr_eq(&before, &gate.current()), "it is in use");
}

#[test]
fn a_web_config_that_cannot_be_read_is_read_again_when_it_can() {
    let (folder, gate) = (Folder::new(LOGIN), Gate::new());
    folder.reload(&gate);
    let before = gate.current();
    for wrong in ["basic_auth", "basic_auth_users: 1"] {
        folder.write("web.yml", wrong);
        gate.look();
        assert!(Arc::ptr_eq(&before, &gate.current()), "{wrong}");
        let source = gate.source().clone().expect("it must be there");
        assert_eq!(source.seen(), source, "it is told once");
    }
    folder.write("web.yml", &format!("{LOGIN}rate_limit:\n  interval: 1s\n  burst: 3\n"));
    gate.look();
    assert!(!Arc::ptr_eq(&before, &gate.current()), "it is in use");
}
