#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/paths.h"

namespace h1bench::testing {

/// tests/fakes/file_server.py as a child process; ends with the object.
class FileServer {
 public:
  FileServer(const std::filesystem::path& folder, const std::string& mode) {
    int to_child[2], from_child[2];
    if (pipe(to_child) != 0 || pipe(from_child) != 0) return;
    child_ = fork();
    if (child_ == 0) {
      dup2(to_child[0], STDIN_FILENO);
      dup2(from_child[1], STDOUT_FILENO);
      for (const int fd : {to_child[0], to_child[1], from_child[0], from_child[1]}) close(fd);
      const std::string script = (SourceDir() / "tests/fakes/file_server.py").string();
      execlp("python3", "python3", script.c_str(), folder.c_str(), mode.c_str(), nullptr);
      _exit(127);
    }
    close(to_child[0]);
    close(from_child[1]);
    input_ = to_child[1];
    char c = 0;
    while (read(from_child[0], &c, 1) == 1 && c != '\n') port_ += c;
    close(from_child[0]);
  }
  ~FileServer() {
    close(input_);
    waitpid(child_, nullptr, 0);
  }
  FileServer(const FileServer&) = delete;
  std::string Url() const { return "http://127.0.0.1:" + port_; }

 private:
  pid_t child_ = -1;
  int input_ = -1;
  std::string port_;
};

}  // namespace h1bench::testing
