//! Every target over its committed corpus and over mutations of it, from a printed seed.
//!
//! `MUSTER_FUZZ_SEED=…` plays a run again; `MUSTER_SOAK=1` makes it longer. An input that breaks a property belongs
//! into the corpus once the property holds again.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use muster_fuzz::{Mutator, TARGETS, Target};

const MUTATIONS_PER_TARGET: usize = 1_500;
const MUTATIONS_PER_TARGET_SOAK: usize = 200_000;
const LONGEST_SEED: u64 = 64 * 1024;

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn seeds_of(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<PathBuf> = fs::read_dir(fuzz_folder().join("corpus").join(target))
        .unwrap_or_else(|cause| panic!("the corpus of {target}: {cause}"))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect()
}

fn seed() -> u64 {
    let given = std::env::var("MUSTER_FUZZ_SEED").ok();
    given.map_or(1, |seed| seed.parse().expect("MUSTER_FUZZ_SEED is a number"))
}

fn holds(target: Target, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| target(input))).is_ok()
}

#[test]
fn soak_what_must_hold_holds_for_the_corpus_and_for_mutations_of_it() {
    let seed = seed();
    let is_soak = std::env::var_os("MUSTER_SOAK").is_some_and(|value| value == "1");
    let mutations = if is_soak { MUTATIONS_PER_TARGET_SOAK } else { MUTATIONS_PER_TARGET };
    println!("MUSTER_FUZZ_SEED={seed}");
    for (name, target) in TARGETS {
        let seeds = seeds_of(name);
        for (file, input) in &seeds {
            assert!(holds(target, input), "{name} fails on {}", file.display());
        }
        let mut mutator = Mutator::new(seed);
        for n in 0..mutations {
            let input = mutator.mutate(&seeds[n % seeds.len()].1, &seeds[(n * 7 + 3) % seeds.len()].1);
            if !holds(target, &input) {
                let kept = std::env::temp_dir().join(format!("muster-fuzz-{name}-{seed}-{n}"));
                fs::write(&kept, &input).unwrap();
                panic!("{name} fails on mutation {n} of MUSTER_FUZZ_SEED={seed}: {}", kept.display());
            }
        }
    }
}

/// A target without a fuzzer or without a corpus would only look like one.
#[test]
fn every_target_has_a_corpus_and_a_fuzzer() {
    let names: BTreeSet<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), TARGETS.len());
    let manifest = fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
    for name in &names {
        let seeds = seeds_of(name);
        assert!(seeds.len() >= 3, "{name} has {} seeds", seeds.len());
        for (file, input) in seeds {
            assert!(input.len() as u64 <= LONGEST_SEED, "{} is no small seed", file.display());
        }
        let fuzzer = fs::read_to_string(fuzz_folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(fuzzer.contains(&format!("muster_fuzz::{name}(data)")), "{name} fuzzes something else");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not built");
    }
    let of_folder = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(fuzz_folder().join(folder)).unwrap();
        let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
        entries.map(|entry| stem(entry.unwrap().path())).collect()
    };
    let names: BTreeSet<String> = names.into_iter().map(str::to_owned).collect();
    assert_eq!(of_folder("corpus"), names);
    assert_eq!(of_folder("fuzz_targets"), names);
}

/// The mutations are the same everywhere: a printed seed is worth something.
#[test]
fn a_seed_names_its_mutations() {
    let made = |seed| {
        let mut mutator = Mutator::new(seed);
        (0..50).map(|_| mutator.mutate(b"one seed", b"another")).collect::<Vec<_>>()
    };
    assert_eq!(made(7), made(7));
    assert_ne!(made(7), made(8));
    assert!(made(7).iter().filter(|input| input.as_slice() != b"one seed").count() > 40);
}
