;; WASI preview 1 (wasi_snapshot_preview1) for core modules that were dropped in: a clock, randomness,
;; standard output and error, which go to the log, and nothing else of the outside.
;;
;; Each function is as in https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md.
;; Text and not Rust, because this must hold of every line: it never calls the module that it serves
;; (Go's allocator must not be called while Go waits for an answer), and it has no memory of its own,
;; neither data nor a stack; what it keeps lies in globals. Functions that a module does not import
;; are removed, and so is what only they need of the host.
(module
  (import "jackfield:preview1/clock@0.1.0" "now" (func $now (param i32) (result i64)))
  (import "jackfield:preview1/random@0.1.0" "next" (func $random (result i64)))
  (import "jackfield:preview1/stdio@0.1.0" "write" (func $write (param i32 i32 i32)))
  (import "jackfield:preview1/exit@0.1.0" "exit" (func $exit (param i32)))
  ;; That of the module.
  (import "env" "memory" (memory 0))

  ;; What the clocks told last, and whether they stand still.
  (global $realtime (mut i64) (i64.const 0))
  (global $monotonic (mut i64) (i64.const 0))
  (global $paused (mut i32) (i32.const 0))

  ;; Every function answers one of these; badf: no such file is open.
  (global $success i32 (i32.const 0))
  (global $badf i32 (i32.const 8))
  (global $inval i32 (i32.const 28))
  (global $nosys i32 (i32.const 52))
  (global $spipe i32 (i32.const 70))

  ;; No arguments, no environment.
  (func (export "args_get") (param i32 i32) (result i32) (global.get $success))
  (func (export "environ_get") (param i32 i32) (result i32) (global.get $success))
  (func (export "args_sizes_get") (param i32 i32) (result i32)
    (call $zero_sizes (local.get 0) (local.get 1)))
  (func (export "environ_sizes_get") (param i32 i32) (result i32)
    (call $zero_sizes (local.get 0) (local.get 1)))
  (func $zero_sizes (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    (global.get $success))

  (func (export "clock_res_get") (param $id i32) (param $out i32) (result i32)
    (if (i32.gt_u (local.get $id) (i32.const 1)) (then (return (global.get $inval))))
    (i64.store (local.get $out) (i64.const 1))
    (global.get $success))

  (func (export "clock_time_get") (param $id i32) (param $precision i64) (param $out i32) (result i32)
    (if (i32.gt_u (local.get $id) (i32.const 1)) (then (return (global.get $inval))))
    (if (i32.eqz (global.get $paused)) (then
      (if (local.get $id)
        (then (global.set $monotonic (call $now (i32.const 1))))
        (else (global.set $realtime (call $now (i32.const 0)))))))
    (i64.store (local.get $out)
      (select (global.get $monotonic) (global.get $realtime) (local.get $id)))
    (global.get $success))

  ;; Not of WASI: what wit-bindgen's Go calls around its allocations for the host. The component model
  ;; forbids calls of the host in there, and Go's garbage collector reads the time.
  (func (export "adapter_monotonic_clock_set_paused") (param $paused i32)
    (global.set $paused (local.get $paused)))

  (func (export "random_get") (param $out i32) (param $count i32) (result i32)
    (local $left i64)
    (local $word i64)
    (local.set $left (i64.extend_i32_u (local.get $count)))
    (block $short
      (loop $words
        (br_if $short (i64.lt_u (local.get $left) (i64.const 8)))
        (i64.store (local.get $out) (call $random))
        (local.set $out (i32.add (local.get $out) (i32.const 8)))
        (local.set $left (i64.sub (local.get $left) (i64.const 8)))
        (br $words)))
    (if (i64.eqz (local.get $left)) (then (return (global.get $success))))
    (local.set $word (call $random))
    (loop $bytes
      (i64.store8 (local.get $out) (local.get $word))
      (local.set $word (i64.shr_u (local.get $word) (i64.const 8)))
      (local.set $out (i32.add (local.get $out) (i32.const 1)))
      (br_if $bytes (i64.ne (local.tee $left (i64.sub (local.get $left) (i64.const 1))) (i64.const 0))))
    (global.get $success))

  ;; Takes 64 KiB at once, as the streams of WASI 0.2 do; who has more calls again.
  (func (export "fd_write") (param $fd i32) (param $pieces i32) (param $count i32) (param $out i32) (result i32)
    (local $written i32)
    (local $length i32)
    (if (i32.gt_u (i32.sub (local.get $fd) (i32.const 1)) (i32.const 1)) (then (return (global.get $badf))))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $length (call $least
          (i32.load offset=4 (local.get $pieces))
          (i32.sub (i32.const 0x10000) (local.get $written))))
        (if (local.get $length) (then
          (call $write (local.get $fd) (i32.load (local.get $pieces)) (local.get $length))))
        (local.set $written (i32.add (local.get $written) (local.get $length)))
        (br_if $done (i32.lt_u (local.get $length) (i32.load offset=4 (local.get $pieces))))
        (local.set $pieces (i32.add (local.get $pieces) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.store (local.get $out) (local.get $written))
    (global.get $success))
  (func $least (param i32 i32) (result i32)
    (select (local.get 0) (local.get 1) (i32.lt_u (local.get 0) (local.get 1))))

  ;; Standard input is at its end.
  (func (export "fd_read") (param $fd i32) (param $pieces i32) (param $count i32) (param $out i32) (result i32)
    (if (local.get $fd) (then (return (global.get $badf))))
    (i32.store (local.get $out) (i32.const 0))
    (global.get $success))

  ;; The standard streams are a terminal's, so that C writes each line when it ends: a character
  ;; device that has the right to read (2) or to write (64), and cannot seek.
  (func (export "fd_fdstat_get") (param $fd i32) (param $out i32) (result i32)
    (if (i32.gt_u (local.get $fd) (i32.const 2)) (then (return (global.get $badf))))
    (i64.store (local.get $out) (i64.const 2))
    (i64.store offset=8 (local.get $out) (select (i64.const 64) (i64.const 2) (local.get $fd)))
    (i64.store offset=16 (local.get $out) (i64.const 0))
    (global.get $success))
  (func (export "fd_filestat_get") (param $fd i32) (param $out i32) (result i32)
    (if (i32.gt_u (local.get $fd) (i32.const 2)) (then (return (global.get $badf))))
    (memory.fill (local.get $out) (i32.const 0) (i32.const 64))
    (i32.store8 offset=16 (local.get $out) (i32.const 2))
    (global.get $success))
  (func (export "fd_seek") (param $fd i32) (param i64 i32 i32) (result i32)
    (call $if_standard (local.get $fd) (global.get $spipe)))
  (func (export "fd_tell") (param $fd i32) (param i32) (result i32)
    (call $if_standard (local.get $fd) (global.get $spipe)))
  (func (export "fd_close") (param $fd i32) (result i32)
    (call $if_standard (local.get $fd) (global.get $success)))
  (func (export "fd_fdstat_set_flags") (param $fd i32) (param i32) (result i32)
    (call $if_standard (local.get $fd) (global.get $success)))
  (func $if_standard (param $fd i32) (param $answer i32) (result i32)
    (select (local.get $answer) (global.get $badf) (i32.le_u (local.get $fd) (i32.const 2))))

  ;; Nobody can wait in a plugin: every moment has come. A file is ready for nothing.
  (func (export "poll_oneoff") (param $in i32) (param $out i32) (param $count i32) (param $events i32) (result i32)
    (local $left i32)
    (local $type i32)
    (if (i32.eqz (local.get $count)) (then (return (global.get $inval))))
    (local.set $left (local.get $count))
    (loop $next
      (local.set $type (i32.load8_u offset=8 (local.get $in)))
      (i64.store (local.get $out) (i64.load (local.get $in)))
      (i64.store offset=8 (local.get $out) (i64.const 0))
      (i32.store16 offset=8 (local.get $out) (select (global.get $badf) (global.get $success) (local.get $type)))
      (i32.store8 offset=10 (local.get $out) (local.get $type))
      (i64.store offset=16 (local.get $out) (i64.const 0))
      (i64.store offset=24 (local.get $out) (i64.const 0))
      (local.set $in (i32.add (local.get $in) (i32.const 48)))
      (local.set $out (i32.add (local.get $out) (i32.const 32)))
      (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.store (local.get $events) (local.get $count))
    (global.get $success))

  (func (export "sched_yield") (result i32) (global.get $success))
  (func (export "proc_exit") (param $code i32)
    (call $exit (local.get $code))
    (unreachable))

  ;; No folder is open, so there is nothing that these could be called on.
  (func (export "fd_advise") (param i32 i64 i64 i32) (result i32) (global.get $badf))
  (func (export "fd_allocate") (param i32 i64 i64) (result i32) (global.get $badf))
  (func (export "fd_datasync") (param i32) (result i32) (global.get $badf))
  (func (export "fd_fdstat_set_rights") (param i32 i64 i64) (result i32) (global.get $badf))
  (func (export "fd_filestat_set_size") (param i32 i64) (result i32) (global.get $badf))
  (func (export "fd_filestat_set_times") (param i32 i64 i64 i32) (result i32) (global.get $badf))
  (func (export "fd_pread") (param i32 i32 i32 i64 i32) (result i32) (global.get $badf))
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) (global.get $badf))
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (global.get $badf))
  (func (export "fd_pwrite") (param i32 i32 i32 i64 i32) (result i32) (global.get $badf))
  (func (export "fd_readdir") (param i32 i32 i32 i64 i32) (result i32) (global.get $badf))
  (func (export "fd_renumber") (param i32 i32) (result i32) (global.get $badf))
  (func (export "fd_sync") (param i32) (result i32) (global.get $badf))
  (func (export "path_create_directory") (param i32 i32 i32) (result i32) (global.get $badf))
  (func (export "path_filestat_get") (param i32 i32 i32 i32 i32) (result i32) (global.get $badf))
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) (global.get $badf))
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (global.get $badf))
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) (global.get $badf))
  (func (export "path_readlink") (param i32 i32 i32 i32 i32 i32) (result i32) (global.get $badf))
  (func (export "path_remove_directory") (param i32 i32 i32) (result i32) (global.get $badf))
  (func (export "path_rename") (param i32 i32 i32 i32 i32 i32) (result i32) (global.get $badf))
  (func (export "path_symlink") (param i32 i32 i32 i32 i32) (result i32) (global.get $badf))
  (func (export "path_unlink_file") (param i32 i32 i32) (result i32) (global.get $badf))

  (func (export "proc_raise") (param i32) (result i32) (global.get $nosys))
  (func (export "sock_accept") (param i32 i32 i32) (result i32) (global.get $nosys))
  (func (export "sock_recv") (param i32 i32 i32 i32 i32 i32) (result i32) (global.get $nosys))
  (func (export "sock_send") (param i32 i32 i32 i32 i32) (result i32) (global.get $nosys))
  (func (export "sock_shutdown") (param i32 i32) (result i32) (global.get $nosys))
)
