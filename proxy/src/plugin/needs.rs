//! Which interfaces a plugin gets only where the configuration grants them.

use crate::config::{Need, Needed};

/// In the order of the component.
pub fn of(imports: &[String], exports: &[String]) -> Vec<Needed> {
    let needed = |interface: &String, need| Needed { interface: interface.clone(), need };
    let imports = imports.iter().filter_map(|import| Some(needed(import, of_import(import)?)));
    let exports = exports.iter().filter_map(|export| Some(needed(export, of_export(export)?)));
    imports.chain(exports).collect()
}

/// What else of WASI is given stands for nothing: no folder, no argument, and what is printed is
/// dropped without the grant `log`. What else of the contract is given belongs to the decision.
pub fn of_import(import: &str) -> Option<Need> {
    let (interface, _) = import.split_once('@').unwrap_or((import, ""));
    match interface {
        "jackfield:preview1/clock" => Some(Need::Clock),
        "jackfield:preview1/random" => Some(Need::Random),
        "jackfield:plugin/log" => Some(Need::Log),
        "jackfield:plugin/metrics" => Some(Need::Metrics),
        "jackfield:plugin/state" => Some(Need::State),
        "jackfield:plugin/http" => Some(Need::Http),
        _ if interface.starts_with("wasi:clocks/") => Some(Need::Clock),
        _ if interface.starts_with("wasi:random/") => Some(Need::Random),
        _ => None,
    }
}

pub fn of_export(export: &str) -> Option<Need> {
    let (interface, _) = export.split_once('@').unwrap_or((export, ""));
    match interface {
        "jackfield:plugin/refreshing" => Some(Need::Timer),
        "jackfield:plugin/body-filtering" => Some(Need::Body),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::component::Plugin;
    use crate::plugin::engine::Engine;
    use crate::plugin::library::EMBEDDED;

    #[test]
    fn what_belongs_to_the_decision_needs_no_grant() {
        for free in [
            "jackfield:plugin/clock@0.1.0",
            "jackfield:plugin/random@0.1.0",
            "jackfield:plugin/request-edit@0.1.0",
            "jackfield:preview1/stdio",
            "wasi:cli/stderr@0.2.6",
            "wasi:io/poll@0.2.6",
            "wasi:filesystem/preopens@0.2.6",
        ] {
            assert_eq!(of_import(free), None, "{free}");
        }
        assert_eq!(of_export("jackfield:plugin/replies@0.1.0"), None);
    }

    #[test]
    fn the_rest_does() {
        for (import, need) in [
            ("wasi:clocks/monotonic-clock@0.2.0", Need::Clock),
            ("jackfield:preview1/clock", Need::Clock),
            ("wasi:random/insecure-seed@0.2.6", Need::Random),
            ("jackfield:plugin/http@0.1.0", Need::Http),
        ] {
            assert_eq!(of_import(import), Some(need), "{import}");
        }
        assert_eq!(of_export("jackfield:plugin/body-filtering@0.1.0"), Some(Need::Body));
    }

    /// They are what a configuration names without a thought.
    #[test]
    fn no_default_plugin_needs_a_grant() {
        let engine = Engine::new(None).unwrap();
        for (name, wasm) in EMBEDDED {
            assert_eq!(Plugin::load(&engine, name, wasm).unwrap().needs, [], "{name}");
        }
    }
}
