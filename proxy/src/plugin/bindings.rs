//! What `bindgen!` makes of `wit/`: one world that has everything, so that each host interface
//! exists once in Rust, whichever kind of plugin calls it.

wasmtime::component::bindgen!({
    inline: "
        package jackfield:host;
        world everything {
            import jackfield:plugin/types@0.1.0;
            import jackfield:plugin/edits@0.1.0;
            import jackfield:plugin/endpoints@0.1.0;
            import jackfield:plugin/request@0.1.0;
            import jackfield:plugin/prepared-edits@0.1.0;
            import jackfield:plugin/request-edit@0.1.0;
            import jackfield:plugin/response@0.1.0;
            import jackfield:plugin/reply@0.1.0;
            import jackfield:plugin/delegate@0.1.0;
            import jackfield:plugin/counters@0.1.0;
            import jackfield:plugin/clock@0.1.0;
            import jackfield:plugin/random@0.1.0;
            import jackfield:plugin/log@0.1.0;
            import jackfield:plugin/state@0.1.0;
            import jackfield:plugin/metrics@0.1.0;
            import jackfield:plugin/http@0.1.0;
            export jackfield:plugin/balancing@0.1.0;
            export jackfield:plugin/filtering@0.1.0;
            export jackfield:plugin/body-filtering@0.1.0;
            export jackfield:plugin/replies@0.1.0;
            export jackfield:plugin/refreshing@0.1.0;
        }
    ",
    path: "../wit",
    world: "jackfield:host/everything",
});
