//! `jackfield.d.ts` is the contract, as a script in TypeScript sees it.

use std::path::Path;

use jackfield_tests::declarations;

#[test]
fn the_declarations_are_those_of_the_contract() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = root.join("examples/plugins/typescript/jackfield.d.ts");
    let declarations = declarations::of(&root.join("wit"));
    if std::env::var_os("JACKFIELD_WRITE").is_some() {
        std::fs::write(&file, &declarations).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == declarations,
        "wit/jackfield.wit has changed. Write them anew: \
         JACKFIELD_WRITE=1 cargo test -p jackfield-tests --test plugins the_declarations"
    );
}
