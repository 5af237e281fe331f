//! The contract as TypeScript declarations: as `componentize-qjs` gives it to a script (which differs
//! from other tools: `null` for none, numbers for `u64`, a default import for each interface).

use std::fmt::Write;
use std::path::Path;

use wit_parser::{Docs, Function, Interface, InterfaceId, Resolve, Type, TypeDefKind, TypeId, WorldItem, WorldKey};

/// The text of `jackfield.d.ts`.
pub fn of(wit: &Path) -> String {
    let mut contract = Resolve::default();
    let (package, _) = contract.push_dir(wit).unwrap();
    let mut text =
        "// The contract, as componentize-qjs gives it to a script. Made of wit/jackfield.wit: do not edit.\n"
            .to_owned();
    for (name, id) in &contract.packages[package].interfaces {
        module(&contract, name, *id, &mut text);
    }
    text
}

fn module(contract: &Resolve, name: &str, id: InterfaceId, text: &mut String) {
    let interface = &contract.interfaces[id];
    let mut body = String::new();
    for (name, ty) in &interface.types {
        declare(contract, name, *ty, &mut body);
    }
    if is_exported(contract, id) {
        let _ = writeln!(body, "{}export interface {} {{", docs(&interface.docs, ""), pascal(name));
        functions(contract, interface, &mut body);
        body.push_str("}\n");
    } else if !interface.functions.is_empty() {
        let _ = writeln!(body, "{}const {}: {{", docs(&interface.docs, ""), camel(name));
        functions(contract, interface, &mut body);
        let _ = writeln!(body, "}};\nexport default {};", camel(name));
    }
    let _ = write!(text, "\ndeclare module \"{}\" {{\n{}}}\n", contract.id_of(id).unwrap(), indented(&body));
}

fn is_exported(contract: &Resolve, id: InterfaceId) -> bool {
    contract.worlds.iter().any(|(_, world)| {
        let is_it = |key: &WorldKey| matches!(key, WorldKey::Interface(exported) if *exported == id);
        world.exports.iter().any(|(key, item)| matches!(item, WorldItem::Interface { .. }) && is_it(key))
    })
}

fn declare(contract: &Resolve, name: &str, id: TypeId, body: &mut String) {
    let (def, name) = (&contract.types[id], pascal(name));
    body.push_str(&docs(&def.docs, ""));
    match &def.kind {
        TypeDefKind::Type(Type::Id(other)) => {
            let other = &contract.types[*other];
            let wit_parser::TypeOwner::Interface(owner) = other.owner else { panic!("{name} is used from a world") };
            let _ = writeln!(body, "import type {{ {name} }} from \"{}\";", contract.id_of(owner).unwrap());
        }
        TypeDefKind::Record(record) => {
            let _ = writeln!(body, "export interface {name} {{");
            for field in &record.fields {
                let ty = of_type(contract, &field.ty);
                let _ = writeln!(body, "{}  {}: {ty};", docs(&field.docs, "  "), camel(&field.name));
            }
            body.push_str("}\n");
        }
        TypeDefKind::Flags(flags) => {
            let _ = writeln!(body, "export interface {name} {{");
            for flag in &flags.flags {
                let _ = writeln!(body, "{}  {}: boolean;", docs(&flag.docs, "  "), camel(&flag.name));
            }
            body.push_str("}\n");
        }
        TypeDefKind::Enum(cases) => {
            let cases: Vec<String> =
                cases.cases.iter().map(|case| format!("\n{}  | \"{}\"", docs(&case.docs, "  "), case.name)).collect();
            let _ = writeln!(body, "export type {name} ={};", cases.concat());
        }
        TypeDefKind::Variant(variant) => {
            let case = |case: &wit_parser::Case| {
                let value = case.ty.map(|ty| format!(", val: {}", of_type(contract, &ty))).unwrap_or_default();
                format!("\n{}  | {{ tag: \"{}\"{value} }}", docs(&case.docs, "  "), case.name)
            };
            let _ = writeln!(body, "export type {name} ={};", variant.cases.iter().map(case).collect::<String>());
        }
        other => panic!("say here how a {} becomes TypeScript: {name}", other.as_str()),
    }
}

fn functions(contract: &Resolve, interface: &Interface, body: &mut String) {
    for function in interface.functions.values() {
        let parameters: Vec<String> = function
            .params
            .iter()
            .map(|parameter| format!("{}: {}", camel(&parameter.name), of_type(contract, &parameter.ty)))
            .collect();
        let (result, thrown) = result(contract, function);
        let mut words = function.docs.clone();
        if let Some(thrown) = thrown {
            let before = words.contents.map(|text| text + "\n").unwrap_or_default();
            words.contents = Some(format!("{before}Throws: {thrown}."));
        }
        let _ =
            writeln!(body, "{}  {}({}): {result};", docs(&words, "  "), camel(&function.name), parameters.join(", "));
    }
}

/// What it returns, and what it throws.
fn result(contract: &Resolve, function: &Function) -> (String, Option<String>) {
    let Some(ty) = &function.result else { return ("void".to_owned(), None) };
    let Type::Id(id) = ty else { return (of_type(contract, ty), None) };
    let TypeDefKind::Result(result) = &contract.types[*id].kind else { return (of_type(contract, ty), None) };
    let of = |ty: &Option<Type>| ty.map_or_else(|| "void".to_owned(), |ty| of_type(contract, &ty));
    (of(&result.ok), Some(of(&result.err)))
}

fn of_type(contract: &Resolve, ty: &Type) -> String {
    let id = match ty {
        Type::Bool => return "boolean".to_owned(),
        Type::String | Type::Char => return "string".to_owned(),
        Type::Id(id) => *id,
        Type::ErrorContext => panic!("say here how an error-context becomes TypeScript"),
        _ => return "number".to_owned(),
    };
    let def = &contract.types[id];
    if let Some(name) = &def.name {
        return pascal(name);
    }
    match &def.kind {
        TypeDefKind::List(Type::U8) => "Uint8Array".to_owned(),
        TypeDefKind::List(of) => format!("Array<{}>", of_type(contract, of)),
        TypeDefKind::Option(of) => format!("{} | null", of_type(contract, of)),
        TypeDefKind::Tuple(tuple) => {
            let types: Vec<String> = tuple.types.iter().map(|ty| of_type(contract, ty)).collect();
            format!("[{}]", types.join(", "))
        }
        TypeDefKind::Result(result) => {
            let of = |ty: &Option<Type>| ty.map_or_else(|| "void".to_owned(), |ty| of_type(contract, &ty));
            format!("{{ tag: \"ok\", val: {} }} | {{ tag: \"err\", val: {} }}", of(&result.ok), of(&result.err))
        }
        other => panic!("say here how a {} becomes TypeScript", other.as_str()),
    }
}

fn docs(docs: &Docs, indent: &str) -> String {
    let Some(text) = docs.contents.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
        return String::new();
    };
    let lines: Vec<&str> = text.lines().collect();
    match lines[..] {
        [line] => format!("{indent}/** {line} */\n"),
        _ => format!("{indent}/**\n{indent} * {}\n{indent} */\n", lines.join(&format!("\n{indent} * "))),
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") }).collect()
}

/// `header-bytes` → `headerBytes`.
fn camel(name: &str) -> String {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &pascal(word))
}

/// `edit-error` → `EditError`.
fn pascal(name: &str) -> String {
    name.split('-').map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}
