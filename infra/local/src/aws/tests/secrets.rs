//! Secrets through the SDK and through the store that the functions use.

use portcullis_core::aws::Clients;
use portcullis_core::store::StoreError;
use portcullis_core::store::secrets::{Secret, Secrets};

use super::{ACCESS_KEY, REGION, SECRET_KEY, Stack};

fn clients(stack: &Stack) -> Clients {
    Clients::for_endpoint(&stack.emulator.endpoint(), REGION, ACCESS_KEY, SECRET_KEY)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_value_is_current_the_old_one_previous_and_both_survive_a_restart() {
    let stack = Stack::start().await;
    let client = clients(&stack).secrets().clone();
    let created = client.create_secret().name("a/secret").secret_string("one").send().await.unwrap();
    let arn = created.arn.unwrap();
    let again = client.create_secret().name("a/secret").secret_string("two").send().await.unwrap_err().into_service_error();
    assert!(again.is_resource_exists_exception(), "{again:?}");

    let active = Secrets::new(client.clone()).active("a/secret").await.unwrap();
    assert_eq!((active.current.expose(), active.previous.as_ref()), ("one", None));
    for value in ["two", "three"] {
        client.put_secret_value().secret_id(&arn).secret_string(value).send().await.unwrap();
    }
    let stack = stack.restart().await;
    let clients = clients(&stack);
    let active = Secrets::new(clients.secrets().clone()).active(&arn).await.unwrap();
    assert_eq!(active.all().map(Secret::expose).collect::<Vec<_>>(), ["three", "two"]);
    // A version without a stage is still there under its id.
    let first = clients.secrets().get_secret_value().secret_id(&arn).version_id(created.version_id.unwrap()).send().await.unwrap();
    assert_eq!((first.secret_string(), first.version_stages().len()), (Some("one"), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_call_changes_nothing_and_unknown_secrets_are_missing() {
    let stack = Stack::start().await;
    let clients = clients(&stack);
    let client = clients.secrets();
    stack.emulator.secrets().ensure("made", || "first".to_owned()).await.unwrap();
    stack.emulator.secrets().ensure("made", || "second".to_owned()).await.unwrap();
    let token = "0123456789abcdef0123456789abcdef";
    for _ in 0..2 {
        client.put_secret_value().secret_id("made").secret_string("next").client_request_token(token).send().await.unwrap();
    }
    let other = client.put_secret_value().secret_id("made").secret_string("other").client_request_token(token).send().await;
    assert!(other.unwrap_err().into_service_error().is_resource_exists_exception());
    let active = Secrets::new(client.clone()).active("made").await.unwrap();
    assert_eq!(active.all().map(Secret::expose).collect::<Vec<_>>(), ["next", "first"]);
    assert!(matches!(Secrets::new(client.clone()).active("unknown").await, Err(StoreError::Missing { .. })));
    let nameless = client.create_secret().name("no spaces").secret_string("x").send().await.unwrap_err().into_service_error();
    assert!(nameless.is_invalid_parameter_exception(), "{nameless:?}");
}
