//! A question of a batch has the verdict that it has alone, whatever it shares with the others.

use std::sync::Arc;

use std::collections::HashMap;

use super::*;
use crate::constitution::BatchValues;
use crate::domain::{Defaults, Json, Object};
use crate::settings::RequestProperties::Merge;

const ALL: &str = r#"
@id("counted") permit (principal, action, resource) when { context has action && context.action.count > 3 };
@id("by") permit (principal, action == Action::"read", resource) when { context has by && context.by in Group::"staff" };
@id("owner") permit (principal, action, resource is Document) when { resource has owner && resource.owner == principal };
@id("large") permit (principal, action, resource is Document) when { resource has size && resource.size > 100 };
@id("folder") @principle("safety") forbid (principal, action, resource in Folder::"closed");
"#;

fn batch(defaults: &str, items: &[String]) -> Vec<Evaluation> {
    let defaults: Object = serde_json::from_str(defaults).unwrap();
    let defaults = Defaults::read(&defaults);
    let item = |item: &String| Evaluation::from_item(&serde_json::from_str::<Json>(item).unwrap(), &defaults).unwrap();
    items.iter().map(item).collect()
}

/// The verdict of a question that shares values with others.
fn shared(
    constitution: &Constitution,
    evaluation: &Evaluation,
    values: &BatchValues,
    stored: &HashMap<&EntityUid, &Entity>,
) -> Verdict {
    let gathered = constitution.gather_shared(Merge, evaluation, values).and_then(|mut gathering| {
        while !gathering.wanted().is_empty() {
            let found: Vec<_> = gathering.wanted().iter().map(|uid| stored.get(uid).copied()).collect();
            gathering.supply(found)?;
        }
        Ok(gathering.finish())
    });
    gathered.map_or_else(|verdict| *verdict, |facts| Arc::unwrap_or_clone(constitution.judge(&facts)))
}

#[test]
fn what_items_share_does_not_change_their_verdicts() {
    let constitution = constitution(ALL);
    let stored = [
        entity("User::ann", r#""attrs":{"name":"ann"},"parents":[{"type":"Group","id":"staff"}]"#),
        entity("User::bob", r#""attrs":{"name":7}"#),
        entity("Document::d", r#""attrs":{"size":7},"parents":[{"type":"Folder","id":"closed"}]"#),
        entity("Document::e", r#""attrs":{"size":700},"parents":[{"type":"Folder","id":"open"}]"#),
        entity("Document::f", r#""attrs":{"size":"much"}"#),
    ];
    let stored: HashMap<&EntityUid, &Entity> = stored.iter().map(|entity| (&entity.uid, entity)).collect();
    let mut reasons = std::collections::BTreeSet::new();
    for properties in ["", r#","properties":{"count":5}"#, r#","properties":{"count":"five"}"#, r#","properties":{}"#] {
        for context in
            ["{}", r#"{"by":{"type":"User","id":"ann"},"risk":1}"#, r#"{"action":{"count":9}}"#, r#"{"risk":"none"}"#]
        {
            let party = r#"{"type":"Document","id":"d","properties":{"owner":{"type":"User","id":"ann"}}}"#;
            let defaults = format!(
                r#"{{"subject":{{"type":"User","id":"ann"}},"action":{{"name":"read"{properties}}},"resource":{party},"context":{context}}}"#
            );
            let mut items = vec![
                "{}".to_owned(),
                r#"{"context":{}}"#.to_owned(),
                r#"{"subject":{"type":"User","id":"bob"}}"#.to_owned(),
            ];
            for id in ["d", "e", "f", "g"] {
                items.push(format!(r#"{{"resource":{{"type":"Document","id":"{id}"}}}}"#));
            }
            for action in [
                r#"{"name":"Org::Action::\"check\""}"#,
                r#"{"name":"read"}"#,
                r#"{"name":"read","properties":{"count":1}}"#,
            ] {
                items.push(format!(r#"{{"action":{action}}}"#));
            }
            let items = [items.clone(), items].concat();
            let values = BatchValues::default();
            for evaluation in batch(&defaults, &items) {
                let alone = constitution.decide(Merge, &evaluation, |uid| stored.get(uid).copied());
                reasons.insert(alone.reason.as_str());
                assert_eq!(shared(&constitution, &evaluation, &values, &stored), alone, "{}", evaluation.canonical());
            }
        }
    }
    assert!(reasons.len() >= 4, "{reasons:?}");
}

#[test]
fn of_a_set_of_entities_none_is_read_nor_its_ancestors() {
    let schema = "entity User in [User]; entity Document;
        action read appliesTo { principal: [User], resource: [Document], context: { by?: Set<User>, or?: Set<User> } };";
    let policies =
        "@id(\"by\") permit (principal, action, resource) when { context has by && principal in context.by };";
    let constitution =
        Constitution::from_bundle(&Bundle { schema: source("schema.cedarschema", schema), ..bundle(policies) })
            .unwrap();
    let users = |prefix: &str| -> Vec<_> {
        (0..20_000).map(|id| format!(r#"{{"type":"User","id":"{prefix}{id}"}}"#)).collect()
    };
    let context = format!(r#""by":[{}],"or":[{}]"#, users("a").join(","), users("b").join(","));
    let evaluation = question(r#""id":"ann""#, r#""name":"read""#, r#""type":"Document","id":"d""#, &context);
    assert_eq!(constitution.gather(Merge, &evaluation).unwrap().asked(), 1, "ann alone");
}
