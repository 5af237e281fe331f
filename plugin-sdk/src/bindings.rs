//! What wit-bindgen makes of `wit/`: one module for each world, the second built on the first's types.
//!
//! With `pub_export_macro` the section that describes a world's exports is emitted by its `export!`
//! macro, in the plugin. So a plugin exports only the kinds whose macro line it has, and the encoder
//! drops the imports that it does not call.
#![allow(unsafe_code, clippy::pedantic)] // generated

pub mod balancer {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package jackfield:sdk;
            world balancer {
                include jackfield:plugin/balancer@0.1.0;
                import jackfield:plugin/state@0.1.0;
                import jackfield:plugin/metrics@0.1.0;
                import jackfield:plugin/http@0.1.0;
            }
        ",
        world: "jackfield:sdk/balancer",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "jackfield_plugin::bindings::balancer",
        export_macro_name: "export_balancer",
        runtime_path: "::jackfield_plugin::wit_bindgen::rt",
        additional_derives: [PartialEq],
    });
}

pub mod http_filter {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package jackfield:sdk;
            world http-filter {
                include jackfield:plugin/http-filter@0.1.0;
                import jackfield:plugin/state@0.1.0;
                import jackfield:plugin/metrics@0.1.0;
                import jackfield:plugin/http@0.1.0;
            }
        ",
        world: "jackfield:sdk/http-filter",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "jackfield_plugin::bindings::http_filter",
        export_macro_name: "export_http_filter",
        runtime_path: "::jackfield_plugin::wit_bindgen::rt",
        additional_derives: [PartialEq],
        with: {
            "jackfield:plugin/types@0.1.0": crate::bindings::balancer::jackfield::plugin::types,
            "jackfield:plugin/edits@0.1.0": crate::bindings::balancer::jackfield::plugin::edits,
            "jackfield:plugin/request@0.1.0": crate::bindings::balancer::jackfield::plugin::request,
            "jackfield:plugin/counters@0.1.0": crate::bindings::balancer::jackfield::plugin::counters,
            "jackfield:plugin/clock@0.1.0": crate::bindings::balancer::jackfield::plugin::clock,
            "jackfield:plugin/random@0.1.0": crate::bindings::balancer::jackfield::plugin::random,
            "jackfield:plugin/log@0.1.0": crate::bindings::balancer::jackfield::plugin::log,
            "jackfield:plugin/state@0.1.0": crate::bindings::balancer::jackfield::plugin::state,
            "jackfield:plugin/metrics@0.1.0": crate::bindings::balancer::jackfield::plugin::metrics,
            "jackfield:plugin/http@0.1.0": crate::bindings::balancer::jackfield::plugin::http,
        },
    });
}

/// What a plugin may export beside its kind. Each has a world of its own, so that a plugin describes
/// only what its macro lines name.
pub mod replies {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package jackfield:sdk;
            world replies { export jackfield:plugin/replies@0.1.0; }
        ",
        world: "jackfield:sdk/replies",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "jackfield_plugin::bindings::replies",
        export_macro_name: "export_replies",
        runtime_path: "::jackfield_plugin::wit_bindgen::rt",
        additional_derives: [PartialEq],
    });
}

pub mod refreshing {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package jackfield:sdk;
            world refreshing { export jackfield:plugin/refreshing@0.1.0; }
        ",
        world: "jackfield:sdk/refreshing",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "jackfield_plugin::bindings::refreshing",
        export_macro_name: "export_refreshing",
        runtime_path: "::jackfield_plugin::wit_bindgen::rt",
    });
}

pub mod body_filtering {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package jackfield:sdk;
            world body-filtering { export jackfield:plugin/body-filtering@0.1.0; }
        ",
        world: "jackfield:sdk/body-filtering",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "jackfield_plugin::bindings::body_filtering",
        export_macro_name: "export_body_filtering",
        runtime_path: "::jackfield_plugin::wit_bindgen::rt",
        additional_derives: [PartialEq],
    });
}
