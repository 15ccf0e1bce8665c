//! What the tests of the command share.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use std::path::Path;

use assert_cmd::Command;
use tempfile::TempDir;

/// A home of its own for each test.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder profiles are stored in.
    pub(crate) fn profiles(&self) -> std::path::PathBuf {
        self.path().join("data/rooflab/profiles")
    }

    /// `rooflab` with this home and nothing else of the environment that changes its output.
    pub(crate) fn rooflab(&self, arguments: &[&str]) -> Command {
        let mut command = Command::cargo_bin("rooflab").unwrap();
        command
            .args(arguments)
            .current_dir(self.path())
            .env("XDG_DATA_HOME", self.path().join("data"))
            .env("HOME", self.path())
            .env("LC_ALL", "C.UTF-8")
            // What is installed here shall make no difference.
            .env("ROOFLAB_CUDA_LIBS", "")
            .env_remove("NO_COLOR");
        command
    }

    /// Runs it and gives exit code, standard output and standard error.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        finish(&mut self.rooflab(arguments))
    }
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// Takes out what differs from run to run: dates, builds, temporary folders.
pub(crate) fn stable(text: &str, home: &Home) -> String {
    let text = text.replace(home.path().to_str().unwrap(), "HOME");
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut line = line.to_owned();
        if let Some(start) = line.find("\"created\": \"") {
            line.replace_range(start.., "\"created\": DATE,");
        }
        for key in ["\"commit\": ", "\"target\": "] {
            if let Some(start) = line.find(key) {
                line.replace_range(start.., &format!("{key}BUILD,"));
            }
        }
        lines.push(line);
    }
    lines.join("\n") + "\n"
}

/// A model of two layers whose heads are those of the kernels.
pub(crate) fn tiny_model(home: &Home) -> String {
    let config = serde_json::json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "torch_dtype": "bfloat16", "hidden_act": "silu",
        "hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 1, "head_dim": 128, "vocab_size": 4096, "max_position_embeddings": 4096,
        "tie_word_embeddings": true, "rms_norm_eps": 1e-5,
    });
    let folder = home.path().join("tiny");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    folder.to_str().unwrap().to_owned()
}
