//! `completions` and `man`, made from the definition of the command line.

use super::args::{Args, Completions};
use super::out::Out;
use crate::error::{Exit, Fatal};
use clap::CommandFactory;

/// Prints the completion script of a shell.
///
/// # Errors
/// Standard output cannot be written.
pub fn completions(args: &Completions, out: &mut Out) -> Result<Exit, Fatal> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "shiftboss", &mut script);
    out.document(&script);
    out.finish().map(|()| Exit::Ok)
}

/// Prints the manual page: the program, then every command.
///
/// # Errors
/// Standard output cannot be written.
pub fn man(out: &mut Out) -> Result<Exit, Fatal> {
    let page = page().map_err(|e| Fatal::new(Exit::Internal, "cannot write the manual page").because(e))?;
    out.document(&page);
    out.finish().map(|()| Exit::Ok)
}

fn page() -> std::io::Result<Vec<u8>> {
    let mut command = Args::command();
    command.build();
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for sub in command.get_subcommands().filter(|s| !s.is_hide_set()) {
        let mut section = Vec::new();
        let man = clap_mangen::Man::new(sub.clone());
        man.render_synopsis_section(&mut section)?;
        man.render_description_section(&mut section)?;
        man.render_options_section(&mut section)?;
        man.render_extra_section(&mut section)?;
        page.extend_from_slice(format!(".SH \"{}\"\n", sub.get_name().to_uppercase()).as_bytes());
        // Its sections are subsections here.
        page.extend_from_slice(String::from_utf8_lossy(&section).replace(".SH ", ".SS ").as_bytes());
    }
    man.render_extra_section(&mut page)?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_every_command() {
        let page = String::from_utf8(page().unwrap()).unwrap();
        for command in Args::command().get_subcommands() {
            let head = format!(".SH \"{}\"", command.get_name().to_uppercase());
            assert!(page.contains(&head), "{head}");
        }
        assert!(page.starts_with(".ie") || page.starts_with(".TH"), "{}", &page[..40]);
        assert!(!page.contains(r"\-\-background") && page.contains(r"\-\-until\-idle"), "what is hidden stays hidden");
    }
}
