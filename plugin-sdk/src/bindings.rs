//! What wit-bindgen makes of `wit/`: one module for each world, the second built on the first's types.
//!
//! With `pub_export_macro` the section that describes a world's exports is emitted by its `export!`
//! macro, in the plugin. So a plugin exports only the kinds whose macro line it has, and the encoder
//! drops the imports that it does not call.
#![allow(unsafe_code, clippy::pedantic)] // generated

pub mod balancer {
    wit_bindgen::generate!({
        path: "../wit",
        world: "balancer",
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
        world: "http-filter",
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
        },
    });
}
