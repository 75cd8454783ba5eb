// A folder of programs of one test, and an instance of pulse-exec that runs them.
#pragma once
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "loaded.h"

namespace plugin_test {

class ExecTest : public testing::Test {
  protected:
    using Values = gorb::testing::Values;
    using Report = gorb::testing::Report;

    ExecTest() {
        std::string name = testing::TempDir() + "gorb-exec.XXXXXX";
        folder = mkdtemp(name.data());
        chmod(folder.c_str(), 0755);
    }
    ~ExecTest() override {
        stop();
        std::filesystem::remove_all(folder);
        EXPECT_TRUE(childless()) << "a child is left";
    }

    // Does this process have no child, running or not, at last? What was killed may take a busy machine a
    // moment; the plugin reaps it on a thread then.
    static bool childless() {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        for (;;) {
            siginfo_t info{};
            if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return errno == ECHILD;
            if (std::chrono::steady_clock::now() > end) return false;
            poll(nullptr, 0, 2);
        }
    }

    void file(const std::string& name, const std::string& text, mode_t mode = 0755) {
        std::ofstream(folder + "/" + name) << text;
        ASSERT_EQ(chmod((folder + "/" + name).c_str(), mode), 0);
    }
    void script(const std::string& name, const std::string& lines) {
        file(name, "#!/bin/sh\n" + lines + "\n");
    }
    // A program of this machine, copied; `package` has it.
    void copy(const std::string& path, const std::string& package) {
        const std::filesystem::path from(path);
        ASSERT_TRUE(std::filesystem::exists(from))
            << path << " is missing; the package " << package << " has it";
        std::filesystem::copy_file(from, folder / from.filename());
        chmod((folder / from.filename()).c_str(), 0755);
    }

    // The instance, made by the first use.
    gorb::testing::PulseRunner& pulse() {
        if (!host) host = std::make_unique<gorb::testing::FakeHost>(clock);
        if (!pulse_) {
            Values all = options;
            all.emplace("directory", folder);
            pulse_ = std::make_unique<gorb::testing::PulseRunner>(*host, plugin("exec"), all);
        }
        return *pulse_;
    }
    void stop() {
        if (!pulse_) return;
        EXPECT_EQ(pulse_->destroy(), std::vector<std::string>());
        EXPECT_EQ(host->violations(), std::vector<std::string>());
        pulse_.reset();
    }
    void* add(const std::string& program, Values args = {}, const std::string& ip = "127.0.0.1",
              uint16_t port = 80) {
        args["program"] = program;
        return pulse().add(gorb::testing::address(ip, port), args);
    }
    Report wait(gorb_run run) {
        const auto report = pulse().wait(run);
        EXPECT_TRUE(report.has_value()) << "no answer";
        return report.value_or(Report{});
    }
    Report run(const std::string& program, Values args = {},
               std::chrono::milliseconds timeout = std::chrono::seconds(8)) {
        return wait(pulse().start(add(program, std::move(args)), timeout));
    }
    // What add() says; "" when it takes the program.
    std::string refusal(const std::string& program) {
        try {
            pulse().remove(add(program));
        } catch (const std::runtime_error& e) {
            return e.what();
        }
        return "";
    }
    // The content of a file, once it has a whole line. Bounded.
    std::string line_of(const std::string& name) {
        std::string line;
        EXPECT_TRUE(host->loop().run_until([&] {
            std::ifstream in(folder + "/" + name);
            return static_cast<bool>(std::getline(in, line)) && !in.eof();
        })) << name
            << " is not written";
        return line;
    }
    static bool gone(pid_t pid) {
        std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
        std::string number, name, state;
        return !(in >> number >> name >> state) || state == "Z" || state == "X";
    }
    bool soon_gone(pid_t pid) {
        return host->loop().run_until([&] { return gone(pid); });
    }
    static size_t descriptors() {
        return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
    }

    std::string folder;
    Values options;
    gorb::testing::Clock clock = gorb::testing::Clock::real;
    std::unique_ptr<gorb::testing::FakeHost> host;

  private:
    std::unique_ptr<gorb::testing::PulseRunner> pulse_;
};

}  // namespace plugin_test
