//! stub
use crate::model::action::network::*;
use std::path::Path;
pub struct Answers;
impl Answers {
    pub fn open(_: &Path, _: u64) -> std::io::Result<(Self, Option<String>)> {
        Ok((Self, None))
    }
}
impl AnswerCache for Answers {
    fn get(&self, _: &AnswerKey) -> Option<CachedAnswer> {
        None
    }
    fn put(&self, _: &AnswerKey, _: &AnswerFacts, _: &Path) -> std::io::Result<()> {
        Ok(())
    }
    fn confirm(&self, _: &AnswerKey, _: &AnswerFacts) -> std::io::Result<()> {
        Ok(())
    }
}
