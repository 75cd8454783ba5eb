#include "ipvs/module_loader.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <vector>

namespace gorb::ipvs::module_loader_test {
namespace {

using namespace std::chrono_literals;

class ModuleLoader : public testing::Test {
  protected:
    void SetUp() override {
        std::string folder = (std::filesystem::temp_directory_path() / "gorb-loader-XXXXXX").string();
        ASSERT_NE(mkdtemp(folder.data()), nullptr);
        folder_ = folder;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    // A program in modprobe's place.
    std::vector<std::string> program(const std::string& script) {
        const std::filesystem::path path = folder_ / "modprobe";
        std::ofstream(path) << "#!/bin/sh\n" << script << "\n";
        chmod(path.c_str(), 0755);
        return {"/nonexistent/modprobe", path.string()};
    }
    std::string text_of(const std::string& name) {
        std::ifstream in(folder_ / name);
        return {std::istreambuf_iterator<char>(in), {}};
    }

    std::filesystem::path folder_;
};

TEST_F(ModuleLoader, RunsTheFirstProgramThatExistsWithTheModuleAsOnlyArgument) {
    const auto places = program("echo \"$# $1\" > " + (folder_ / "seen").string());
    EXPECT_TRUE(load_module("ip_vs", places));
    EXPECT_EQ(text_of("seen"), "1 ip_vs\n");
}

TEST_F(ModuleLoader, NoShellReadsTheModulesName) {
    const auto places = program("echo \"$1\" > " + (folder_ / "seen").string());
    EXPECT_TRUE(load_module("a; echo b $(id)", places));
    EXPECT_EQ(text_of("seen"), "a; echo b $(id)\n");
}

TEST_F(ModuleLoader, AFailureCarriesTheProgramsOwnWordsOnOneLine) {
    const auto status =
        load_module("ip_vs", program("echo 'FATAL: Module ip_vs not found.'; echo again >&2; exit 1"));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, base::Errc::unavailable);
    EXPECT_EQ(status.error().sentence, "FATAL: Module ip_vs not found. again");
}

TEST_F(ModuleLoader, AWordlessFailureIsSaidToBeOne) {
    const auto status = load_module("ip_vs", program("exit 3"));
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().sentence.find("failed without a word"), std::string::npos);
}

TEST_F(ModuleLoader, ATalkativeProgramDoesNotBlockAndIsCutShort) {
    const auto status = load_module(
        "ip_vs", program("i=0; while [ $i -lt 4000 ]; do echo 'forty bytes of words, again and again'; "
                         "i=$((i+1)); done; exit 1"));
    ASSERT_FALSE(status);
    EXPECT_LE(status.error().sentence.size(), 512U);
}

TEST_F(ModuleLoader, AProgramThatHangsIsKilled) {
    const auto begin = std::chrono::steady_clock::now();
    const auto status = load_module("ip_vs", program("exec sleep 60"), 50ms);
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().sentence.find("did not end within 50 ms"), std::string::npos);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
}

// As one that sleeps in the kernel. Here it is one whose end another process is to be told first.
TEST_F(ModuleLoader, AProgramThatNotEvenAKillEndsIsLeftAlone) {
    const auto places = program(
        "exec python3 -c \""
        "import ctypes, os, sys, time\n"
        "libc, me = ctypes.CDLL(None), os.getpid()\n"
        "libc.prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)\n"  // PR_SET_PTRACER: anybody
        "if os.fork(): time.sleep(60)\n"
        "libc.ptrace(0x4206, me, 0, 0)\n"  // PTRACE_SEIZE
        "for _ in range(3000): time.sleep(0 if os.path.exists(sys.argv[1]) else 0.01)\n"
        "\" " +
        (folder_ / "go").string());
    const auto begin = std::chrono::steady_clock::now();
    auto status = load_module("ip_vs", places, 2s);
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().sentence.find("can not be killed"), std::string::npos)
        << status.error().sentence;
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
    // No other is begun beside it, and nobody waits for it.
    status = load_module("ip_vs", program("exit 0"), 50ms);
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().sentence.find("has not ended"), std::string::npos) << status.error().sentence;
    std::ofstream(folder_ / "go") << "now";
    while (!status) status = load_module("ip_vs", program("exit 0"));
}

TEST_F(ModuleLoader, NoProgramIsSaid) {
    const std::vector<std::string> places = {"/nonexistent/modprobe"};
    const auto status = load_module("ip_vs", places);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().sentence, "there is no modprobe here");
}

}  // namespace
}  // namespace gorb::ipvs::module_loader_test
