use super::*;

fn kind(types: &OwnTypes, oid: u32) -> Kind {
    types.find(oid).expect("it was learned").type_.kind().clone()
}

#[test]
fn types_are_put_together_from_what_they_are_made_of() {
    let types = OwnTypes::default();
    let said = Catalogue::saying(&[
        (100_001, b'e', None, &[]),
        (100_002, b'd', Some(23), &[]),
        (100_003, b'b', Some(100_004), &[]),
        (100_004, b'c', None, &[23, 100_001, 100_002]),
        (100_005, b'r', Some(701), &[]),
        (100_006, b'm', Some(701), &[]),
        (100_007, b'b', None, &[]),
    ]);
    types.learn(&[100_003, 100_005, 100_006, 100_007], said);
    let Kind::Array(pair) = kind(&types, 100_003) else { panic!("{:?}", kind(&types, 100_003)) };
    assert_eq!((pair.name(), pair.schema(), pair.oid()), ("t100004", "public", 100_004));
    let Kind::Composite(fields) = pair.kind() else { panic!("{pair:?}") };
    let names: Vec<_> = fields.iter().map(|field| field.type_().name()).collect();
    assert_eq!(names, ["int4", "t100001", "t100002"]);
    assert_eq!(fields[2].type_().kind(), &Kind::Domain(Type::INT4));
    assert_eq!(kind(&types, 100_005), Kind::Range(Type::FLOAT8));
    assert_eq!(kind(&types, 100_006), Kind::Multirange(Type::FLOAT8));
    assert!(types.find(100_003).is_some_and(|own| own.written));
    assert!(types.find(100_007).is_some_and(|own| !own.written), "nobody could show it");
    assert_eq!(types.find(100_007).map(|own| own.type_.name().to_owned()).as_deref(), Some("t100007"));
}

#[test]
fn one_that_is_not_there_is_not_asked_for_again() {
    let types = OwnTypes::default();
    types.learn(&[100_001], Catalogue::default());
    let own = types.find(100_001).expect("it is known that nothing is");
    assert_eq!((own.type_.name(), own.written), ("100001", false));
}

#[test]
fn a_type_that_is_made_of_itself_ends_there() {
    let types = OwnTypes::default();
    let said = [(100_001, b'c', None, &[23, 100_002][..]), (100_002, b'b', Some(100_001), &[])];
    types.learn(&[100_001, 100_002], Catalogue::saying(&said));
    assert!(types.find(100_001).is_some_and(|own| !own.written));
    types.learn(&[100_003], Catalogue::saying(&[(100_003, b'd', Some(100_003), &[])]));
    assert!(types.find(100_003).is_some_and(|own| !own.written));
}

#[test]
fn how_deep_a_type_goes_and_how_much_it_comes_to_is_limited() {
    // Each is an array of the next: a server says this in a few kilobytes.
    let chain: Vec<_> = (0..10_000).map(|at| (100_000 + at, b'b', Some(100_001 + at), &[][..])).collect();
    let types = OwnTypes::default();
    types.learn(&[100_000], Catalogue::saying(&chain));
    assert!(types.find(100_000).is_some_and(|own| !own.written), "an array of arrays of arrays, 10,000 deep");
    // Each has the next one twice: 2^40 in all.
    let doubles: Vec<_> = (0..40).map(|at| [100_001 + at, 100_001 + at]).collect();
    let mut said: Vec<_> = (0..).zip(&doubles).map(|(at, two)| (100_000 + at, b'c', None, &two[..])).collect();
    said.push((100_040, b'e', None, &[]));
    let types = OwnTypes::default();
    types.learn(&[100_000, 100_030], Catalogue::saying(&said));
    assert!(types.find(100_000).is_some_and(|own| !own.written), "a tree of 2^40 types");
    assert!(types.find(100_030).is_some_and(|own| own.written), "one of 2^11 is a part of it");
}

/// LIMITS, "all": what is as deep as a peer says it is. Each that is asked for begins where the one before it ended.
#[test]
fn types_that_are_asked_for_together_are_no_deeper_than_one() {
    let mut said: Vec<_> = (1..10_000).map(|at| (100_000 + at, b'b', Some(99_999 + at), &[][..])).collect();
    said.push((100_000, b'e', None, &[]));
    for step in [1, 7, 60, 63, 64] {
        let asked: Vec<u32> = (100_000..110_000).step_by(step).collect();
        let types = OwnTypes::default().learn(&asked, Catalogue::saying(&said));
        let depth = |oid: &u32| {
            let (mut type_, mut depth) = (types.find(*oid).map_or_else(|| numbered(*oid), |own| own.type_), 1);
            while let Kind::Array(member) = type_.kind() {
                (type_, depth) = (member.clone(), depth + 1);
            }
            depth
        };
        let deepest = asked.iter().map(depth).max();
        assert!(deepest <= Some(catalogue::DEPTH), "one of each {step} of 10,000 came out {deepest:?} deep");
        assert!(types.find(100_000).is_some_and(|own| own.written), "the enum itself is one");
        assert!(types.find(asked[1]).is_some_and(|own| own.written == (step < 64)), "and {step} arrays around it");
    }
}

#[test]
fn so_many_are_remembered_and_no_more() {
    let types = OwnTypes::default();
    for oid in 100_000..103_000 {
        types.learn(&[oid], Catalogue::saying(&[(oid, b'e', None, &[])]));
    }
    assert!(types.known().types.len() <= MOST);
    assert!(types.find(102_999).is_some() && types.find(100_000).is_none());
    let many: Vec<u32> = (100_000..200_000).collect();
    types.learn(&many, Catalogue::default());
    assert!(types.known().types.len() <= MOST, "a statement had 100,000 of them");
}

#[test]
fn so_many_bytes_are_remembered_and_what_is_replaced_is_none_of_them() {
    let types = OwnTypes::default();
    let large = || Catalogue::saying(&[(100_002, b'e', None, &[])]).sized(MOST_BYTES / 4);
    types.learn(&[100_001], Catalogue::saying(&[(100_001, b'e', None, &[])]));
    for _ in 0..10 {
        types.learn(&[100_002], large());
    }
    assert!(types.find(100_001).is_some(), "one was looked up ten times");
    let row = [(100_003, b'c', None, &[100_004, 100_004][..]), (100_004, b'e', None, &[])];
    types.learn(&[100_003], Catalogue::saying(&row).sized(MOST_BYTES / 5));
    assert!(types.find(100_003).is_some() && types.find(100_001).is_none(), "a row has what it is made of");
    assert!(types.known().bytes <= MOST_BYTES);
}

#[test]
fn what_was_known_is_another_generation_when_it_changes() {
    let types = OwnTypes::default();
    let before = types.generation();
    types.learn(&[100_001], Catalogue::saying(&[(100_001, b'e', None, &[])]));
    assert_eq!(types.generation(), before, "nothing was known of it");
    types.learn(&[100_001], Catalogue::saying(&[(100_001, b'e', None, &[])]));
    assert_eq!(types.generation(), before + 1);
    let row = [(100_002, b'c', None, &[100_001][..]), (100_001, b'e', None, &[])];
    types.learn(&[100_002], Catalogue::saying(&row));
    assert_eq!(types.generation(), before + 2, "it came as a part of another");
    types.forget();
    assert_eq!(types.generation(), before + 3);
    assert!(types.find(100_001).is_none());
    types.learn(&[100_001], Catalogue::saying(&[(100_001, b'e', None, &[])]));
    types.forget_since(Some(before));
    assert!(types.find(100_001).is_some(), "it was learned since");
    types.forget_since(Some(types.generation()));
    assert!(types.find(100_001).is_none() && types.generation() == before + 4);
}

#[test]
fn types_are_forgotten_with_the_last_connection_to_their_database() {
    let types = OwnTypes::default();
    types.learn(&[100_001], Catalogue::saying(&[(100_001, b'e', None, &[])]));
    let (other, remembered) = (types.clone(), types.remember());
    drop(types);
    assert!(remembered.recall().is_some_and(|types| types.find(100_001).is_some()), "another one has them");
    drop(other);
    assert!(remembered.recall().is_none());
}
