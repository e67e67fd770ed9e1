use std::sync::Mutex;

use muster_wire::host::Presence;
use muster_wire::page::Page;

use super::{PageRequest, collect, path, segment, word};
use crate::ApiError;

/// A list of `len` numbers that notes how it was asked.
struct Numbers {
    len: u64,
    asked: Mutex<Vec<u64>>,
}

impl Numbers {
    fn new(len: u64) -> Self {
        Self { len, asked: Mutex::default() }
    }

    fn read(&self, page: &PageRequest) -> Result<Page<u64>, ApiError> {
        let limit = page.limit.expect("a limit").get();
        self.asked.lock().expect("one thread").push(limit);
        let start = page.cursor.as_ref().map_or(0, |cursor| cursor.parse().expect("a number"));
        let end = self.len.min(start + limit);
        let next_cursor = (end < self.len).then(|| end.to_string());
        Ok(Page { items: (start..end).collect(), next_cursor })
    }

    async fn collect(&self, most: Option<u64>) -> Page<u64> {
        collect(most, async |page| self.read(&page)).await.expect("a list")
    }
}

#[tokio::test]
async fn a_whole_list_is_read_in_the_largest_pages() {
    let numbers = Numbers::new(450);
    let page = numbers.collect(None).await;
    assert_eq!((page.items.len(), page.next_cursor), (450, None));
    assert_eq!(*numbers.asked.lock().expect("one thread"), [200, 200, 200]);
}

#[tokio::test]
async fn no_more_is_read_than_asked_for() {
    let numbers = Numbers::new(450);
    let page = numbers.collect(Some(250)).await;
    assert_eq!((page.items.len(), page.next_cursor.as_deref()), (250, Some("250")));
    assert_eq!(*numbers.asked.lock().expect("one thread"), [200, 50]);
}

#[tokio::test]
async fn an_empty_list_ends() {
    assert!(Numbers::new(0).collect(Some(3)).await.items.is_empty());
}

#[test]
fn a_query_is_encoded() {
    let page = PageRequest { cursor: Some("a+b".into()), ..PageRequest::first() };
    let filters = [("q", Some("a b&c=ü".to_owned())), ("tag", None)];
    assert_eq!(path("/v1/hosts", &page, &filters), "/v1/hosts?q=a+b%26c%3D%C3%BC&limit=200&cursor=a%2Bb");
    assert_eq!(path("/v1/hosts", &PageRequest::default(), &[]), "/v1/hosts");
}

#[test]
fn a_word_is_spelt_as_on_the_wire() {
    assert_eq!(word(Presence::NeverSeen).as_deref(), Some("never_seen"));
}

#[tokio::test]
async fn an_empty_page_that_says_where_to_go_on_is_not_the_end() {
    let read = async |page: PageRequest| match page.cursor.as_deref() {
        None => Ok(Page { items: Vec::new(), next_cursor: Some("1".to_owned()) }),
        Some(_) => Ok(Page { items: vec![7], next_cursor: None }),
    };
    assert_eq!(collect(None, read).await.expect("a list").items, [7]);
}

#[test]
fn a_name_is_one_segment() {
    assert_eq!(segment("a b/c+ü%"), "a%20b%2Fc%2B%C3%BC%25");
}
