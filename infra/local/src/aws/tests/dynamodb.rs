//! DynamoDB is dynoxide's; here only that it is reachable and durable.

use aws_sdk_dynamodb::types::{AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};

use super::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn items_survive_a_restart_and_conditions_hold() {
    let stack = Stack::start().await;
    stack
        .dynamodb
        .create_table()
        .table_name("table")
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S).build().unwrap())
        .key_schema(KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash).build().unwrap())
        .send()
        .await
        .unwrap();
    let put = |stack: &Stack| {
        stack.dynamodb.put_item().table_name("table").item("pk", AttributeValue::S("a".into())).condition_expression("attribute_not_exists(pk)")
    };
    put(&stack).send().await.unwrap();
    let stack = stack.restart().await;
    let refused = put(&stack).send().await.unwrap_err().into_service_error();
    assert!(refused.is_conditional_check_failed_exception(), "{refused:?}");
    let got = stack.dynamodb.get_item().table_name("table").key("pk", AttributeValue::S("a".into())).send().await.unwrap();
    assert!(got.item.is_some());
}
