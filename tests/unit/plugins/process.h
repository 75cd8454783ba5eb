// A server from a package of Debian's, as a process of the test's own, and a folder for what it needs.
#pragma once
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace plugin_test {

class Folder {
  public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "gorb-test.XXXXXX").string();
        if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
        path = name;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    std::string read(const std::string& file) const {
        std::ifstream in(path + "/" + file);
        return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    }
    void write(const std::string& file, const std::string& text) const {
        std::ofstream(path + "/" + file) << text;
    }

    std::string path;
};

// A server of `package`, in the foreground, ended with SIGTERM by its id.
class Process {
  public:
    Process(const std::string& package, const std::vector<std::string>& command, const std::string& log) {
        if (access(command[0].c_str(), X_OK) != 0)
            throw std::runtime_error(command[0] + " is missing: apt-get install " + package);
        std::vector<char*> raw;
        raw.reserve(command.size() + 1);
        for (const auto& word : command) raw.push_back(const_cast<char*>(word.c_str()));
        raw.push_back(nullptr);
        pid_ = fork();
        if (pid_ == 0) {
            const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
            dup2(fd, 1);
            dup2(fd, 2);
            execv(raw[0], raw.data());
            _exit(127);
        }
    }
    ~Process() {
        kill(pid_, SIGTERM);
        for (int turn = 0; turn < 500; ++turn) {
            if (waitpid(pid_, nullptr, WNOHANG) == pid_) return;
            usleep(10'000);
        }
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

  private:
    pid_t pid_ = 0;
};

}  // namespace plugin_test
