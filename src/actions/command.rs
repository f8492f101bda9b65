//! tbd
/// tbd
#[derive(Debug)]
pub struct CommandKind;
impl crate::model::Kind for CommandKind {
    fn key(&self) -> &'static str {
        "command"
    }
    fn summary(&self) -> &'static str {
        ""
    }
    fn example(&self) -> &'static str {
        ""
    }
    fn build(&self, _: &mut crate::model::Block<'_>) -> Option<std::sync::Arc<dyn crate::model::Action>> {
        None
    }
}
