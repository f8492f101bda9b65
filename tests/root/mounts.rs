//! File systems of a test's own, gone when it ends.

use crate::support::Site;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system; unmounted when it is dropped.
pub struct Mount {
    at: PathBuf,
}

fn mount(args: &[&str], at: &Path) -> Option<Mount> {
    std::fs::create_dir_all(at).unwrap();
    let output = Command::new("mount").args(args).arg(at).output().unwrap();
    if output.status.success() {
        return Some(Mount { at: at.to_owned() });
    }
    eprintln!("LEFT OUT: cannot mount here: {}", String::from_utf8_lossy(&output.stderr).trim());
    None
}

/// A file system in memory, of this size; none where the kernel refuses.
pub fn tmpfs(site: &Site, below: &str, size: &str) -> Option<Mount> {
    mount(&["-t", "tmpfs", "-o", &format!("size={size},mode=0755"), "tmpfs"], &site.path(below))
}

/// A folder mounted onto itself, so that it can be made read-only.
pub fn itself(site: &Site, below: &str) -> Option<Mount> {
    let path = site.path(below);
    mount(&["--bind", path.to_str().unwrap()], &path)
}

/// An image with ext4, mounted through a loop device.
pub fn image(image: &Path, at: &Path) -> Option<Mount> {
    mount(&["-o", "loop", image.to_str().unwrap()], at)
}

impl Mount {
    /// Mounts it again with other options.
    pub fn again(&self, options: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.at).status().unwrap();
        assert!(done.success(), "remount,{options}");
    }

    /// Fills it to the last byte; answers the file that did it.
    pub fn fill(&self) -> PathBuf {
        use std::io::Write;
        let path = self.at.join("ballast");
        let mut file = std::fs::File::create(&path).unwrap();
        for size in [64 * 1024, 512] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a test that failed may still have a process in there.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}
