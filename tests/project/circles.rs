//! Files import in one direction: none imports, over others or not, one that imports it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, ItemFn, ItemMod, ItemUse, Meta, UseTree};

/// Circles that stay until the rooms that they are in are replaced.
const KNOWN: &[&[&str]] = &[&["journal", "journal::stream"]];

/// A module by its names from the root.
type Module = Vec<String>;

/// The modules that one file names.
struct Named<'a> {
    module: &'a Module,
    modules: &'a BTreeMap<Module, syn::File>,
    found: BTreeSet<Module>,
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        Meta::Path(path) => path.is_ident("test"),
        Meta::NameValue(_) => false,
    })
}

impl Named<'_> {
    /// Notes the module of a path: the longest beginning of it that is one.
    fn note(&mut self, path: &[String]) {
        let mut names = path;
        let mut at = match names.first().map(String::as_str) {
            Some("crate") => Module::new(),
            Some("self" | "super") => self.module.clone(),
            Some(child) if self.has(self.module, child) => self.module.clone(),
            Some(_) | None => return,
        };
        while let [first, rest @ ..] = names {
            match first.as_str() {
                "crate" | "self" => {}
                "super" => drop(at.pop()),
                name if self.has(&at, name) => at.push(name.to_owned()),
                _ => break,
            }
            names = rest;
        }
        if at != *self.module {
            self.found.insert(at);
        }
    }

    fn has(&self, module: &Module, child: &str) -> bool {
        let mut child_module = module.clone();
        child_module.push(child.to_owned());
        self.modules.contains_key(&child_module)
    }

    fn walk(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: String| [before, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.walk(&path.tree, &with(path.ident.to_string())),
            UseTree::Name(name) => self.note(&with(name.ident.to_string())),
            UseTree::Rename(rename) => self.note(&with(rename.ident.to_string())),
            UseTree::Glob(_) => self.note(before),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.walk(tree, before)),
        }
    }
}

impl<'ast> Visit<'ast> for Named<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.walk(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 {
            self.note(&names);
        }
        visit::visit_path(self, path);
    }

    // Which items may see an item is no import.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}

/// Reads the files of a folder, except those that hold only unit tests.
fn read(folder: &Path, module: &Module, modules: &mut BTreeMap<Module, syn::File>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the sources") {
        let path = entry.expect("an entry of it").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a file has a name").to_owned();
        let inner = match name.as_str() {
            "main" | "tests" => continue,
            name if name.ends_with("_tests") => continue,
            "lib" | "mod" => module.clone(),
            name => [module.as_slice(), &[name.to_owned()]].concat(),
        };
        if path.is_dir() {
            read(&path, &inner, modules);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source is text");
            modules.insert(inner, syn::parse_file(&text).expect("a source is Rust"));
        }
    }
}

/// Returns the modules that lead back to themselves, with those that they name.
fn circles(mut named: BTreeMap<Module, BTreeSet<Module>>) -> BTreeMap<Module, BTreeSet<Module>> {
    loop {
        let before = named.len();
        // What names nothing that is left, or is named by nothing that is left, is in no circle.
        let all: BTreeSet<Module> = named.keys().cloned().collect();
        named.values_mut().for_each(|others| others.retain(|other| all.contains(other)));
        let wanted: BTreeSet<Module> = named.values().flatten().cloned().collect();
        named.retain(|module, others| !others.is_empty() && wanted.contains(module));
        if named.len() == before {
            return named;
        }
    }
}

#[test]
fn files_import_in_one_direction() {
    let mut modules = BTreeMap::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &Module::new(), &mut modules);
    let named = modules.keys().map(|module| {
        let mut named = Named { module, modules: &modules, found: BTreeSet::new() };
        named.visit_file(&modules[module]);
        (module.clone(), named.found)
    });
    let mut named: BTreeMap<Module, BTreeSet<Module>> = named.collect();
    assert!(named.len() > 100 && named.values().map(BTreeSet::len).sum::<usize>() > 500, "the files were not read");
    let module = |name: &str| -> Module { name.split("::").map(str::to_owned).collect() };
    for known in KNOWN {
        let [first, second] = known else { panic!("a known circle has two files") };
        let is_there = named.get_mut(&module(first)).is_some_and(|others| others.remove(&module(second)));
        assert!(is_there, "there is no circle of {known:?} any more");
    }
    let circles = circles(named);
    let lines: Vec<String> = circles
        .iter()
        .flat_map(|(from, to)| to.iter().map(move |to| format!("{} -> {}", from.join("::"), to.join("::"))))
        .collect();
    assert!(lines.is_empty(), "circles of files, and what leads from one to the next:\n{}", lines.join("\n"));
}

#[test]
fn a_circle_is_what_leads_back() {
    let module = |name: &str| vec![name.to_owned()];
    let of = |pairs: &[(&str, &str)]| {
        let mut named: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (from, to) in pairs {
            named.entry(module(from)).or_default().insert(module(to));
            named.entry(module(to)).or_default();
        }
        circles(named).into_keys().map(|module| module.concat()).collect::<Vec<_>>()
    };
    assert_eq!(of(&[("a", "b"), ("b", "c"), ("a", "c")]), Vec::<String>::new());
    assert_eq!(of(&[("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")]), ["b", "c"]);
}
