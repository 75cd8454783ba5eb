#include "plugin/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "plugin/trial.h"

namespace gorb::plugin::registry_test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

fs::path bad(const std::string& name) {
    return fs::path(BAD_PLUGINS) / name;
}

// A folder that is gone with the test.
struct Folder {
    Folder() {
        std::string name = fs::temp_directory_path() / "gorb-registry-XXXXXX";
        path = mkdtemp(name.data());
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { fs::remove_all(path); }
    void take(const std::string& library) const {
        fs::copy_file(bad(library) / (library + ".so"), path / (library + ".so"));
    }
    fs::path path;
};

TEST(Registry, ListsAGoodLibraryWithAllThatItSaysOfItself) {
    Registry registry;
    registry.load({bad("none")});
    EXPECT_THAT(registry.refused(), IsEmpty());
    ASSERT_THAT(registry.plugins(), SizeIs(1));
    const Plugin& plugin = *registry.plugins()[0];
    EXPECT_EQ(plugin.kind, GORB_KIND_PULSE);
    EXPECT_EQ(plugin.name, "fine");
    EXPECT_EQ(plugin.version, "1.2.3");
    EXPECT_EQ(plugin.summary, "does nothing");
    EXPECT_EQ(plugin.build, "test build");
    EXPECT_EQ(plugin.file.filename(), "none.so");
    EXPECT_THAT(plugin.options, IsEmpty());
    ASSERT_THAT(plugin.args, SizeIs(2));
    EXPECT_EQ(plugin.args[0].range, "1..65535");
    EXPECT_EQ(registry.pulse("fine"), &plugin);
    EXPECT_EQ(registry.pulse("teapot"), nullptr);
}

struct Fault {
    const char* library;
    const char* words;
};

class FaultyLibrary : public testing::TestWithParam<Fault> {};

TEST_P(FaultyLibrary, IsRefusedWithASentenceThatNamesTheFault) {
    Registry registry;
    registry.load({bad(GetParam().library)});
    EXPECT_THAT(registry.plugins(), IsEmpty());
    ASSERT_THAT(registry.refused(), SizeIs(1));
    EXPECT_THAT(registry.refused()[0].why, HasSubstr(GetParam().words));
    EXPECT_EQ(registry.refused()[0].file.filename(), std::string(GetParam().library) + ".so");
}

INSTANTIATE_TEST_SUITE_P(
    Registry, FaultyLibrary,
    testing::Values(Fault{"other_major", "built for ABI 2.0, this gorbd has ABI 1.1"},
                    Fault{"newer_minor", "needs ABI 1.2 or later, this gorbd has ABI 1.1"},
                    Fault{"small_entry", "gorb_plugin_entry is 4 bytes"},
                    Fault{"no_table", "no list of plugins"}, Fault{"empty_table", "list of plugins is empty"},
                    Fault{"no_end", "has no end"}, Fault{"no_symbol", "does not export gorb_plugin_entry"},
                    Fault{"unresolved", "gorb_nobody_defines_this"},
                    Fault{"small_plugin", "its gorb_plugin is 8 bytes"}, Fault{"no_kind", "names no kind"},
                    Fault{"foreign_kind", "kind gorb.teapot/1"},
                    Fault{"bad_name", "1 to 32 characters of [a-z0-9-]"}, Fault{"no_ops", "ops is NULL"},
                    Fault{"small_ops", "its gorb_pulse_ops is"}, Fault{"no_start", "has no start()"},
                    Fault{"bad_type", "option 1, \"port\": type 99 is unknown"},
                    Fault{"bad_fallback", "the fallback \"70000\" must be a whole number from 1 to 65535"},
                    Fault{"load_fails", "no license for this teapot"}, Fault{"load_says_nothing", "error -5"},
                    Fault{"load_throws", "load is broken"},
                    Fault{"load_crashes", "its load() ends the process (signal 11, "},
                    Fault{"load_exits", "its load() ends the process (exit status 0)"},
                    Fault{"tables_crash", "reading its tables ends the process ("},
                    Fault{"constructor_exits", "a constructor in it ends the process (exit status 3)"},
                    Fault{"constructor_crashes", "a constructor in it ends the process (signal 6, Aborted)"},
                    Fault{"constructor_throws",
                          "a constructor in it threw: a constructor of the library threw"}),
    [](const auto& one) { return std::string(one.param.library); });

TEST(Registry, KeepsTheGoodPluginOfALibraryWithABadOne) {
    Registry registry;
    registry.load({bad("half_good")});
    EXPECT_NE(registry.pulse("fine"), nullptr);
    ASSERT_THAT(registry.refused(), SizeIs(1));
    EXPECT_THAT(registry.refused()[0].why, HasSubstr("plugin \"other\""));
    EXPECT_EQ(registry.refused()[0].name, "other");
}

TEST(Registry, RefusesTheSecondOfTwoOfOneName) {
    Registry registry;
    registry.load({bad("twins")});
    EXPECT_THAT(registry.plugins(), SizeIs(1));
    ASSERT_THAT(registry.refused(), SizeIs(1));
    EXPECT_THAT(registry.refused()[0].why, HasSubstr("one of this name already"));

    Registry two;
    two.load({bad("none"), bad("half_good")});
    EXPECT_EQ(two.pulse("fine")->file.filename(), "none.so");
    ASSERT_THAT(two.refused(), SizeIs(2));
    const auto says_both =
        testing::AllOf(HasSubstr("plugin \"fine\", version 1.2.3: "),
                       HasSubstr("which is used: version 1.2.3, from "), testing::EndsWith("/none.so"));
    EXPECT_THAT(two.refused(), testing::Contains(testing::Field(&Refused::why, says_both)));
}

TEST(Registry, OneBadLibraryDoesNotStopTheOthers) {
    Folder folder;
    folder.take("other_major");
    folder.take("none");
    std::ofstream(folder.path / "a_text.so") << std::string(1000, 'x');
    std::ofstream(folder.path / "empty.so") << "";
    fs::create_directory(folder.path / "folder.so");
    std::ofstream(folder.path / "README") << "not looked at\n";
    Registry registry;
    registry.load({folder.path / "not-there", folder.path});
    EXPECT_NE(registry.pulse("fine"), nullptr);
    std::vector<std::string> names;
    for (const Refused& refused : registry.refused()) {
        names.push_back(refused.file.filename());
        EXPECT_FALSE(refused.why.empty());
    }
    EXPECT_THAT(names,
                testing::ElementsAre("not-there", "a_text.so", "empty.so", "folder.so", "other_major.so"));
    EXPECT_THAT(registry.refused()[1].why,
                testing::EndsWith("a_text.so: invalid ELF header"));  // the loader's own words
}

TEST(Registry, TakesAFileOnceHoweverOftenItIsNamed) {
    Folder folder;
    folder.take("none");
    fs::create_symlink(folder.path / "none.so", folder.path / "zz_link.so");
    Registry registry;
    registry.load({folder.path, folder.path / ".", folder.path});
    EXPECT_THAT(registry.plugins(), SizeIs(1));
    EXPECT_THAT(registry.refused(), IsEmpty());
}

TEST(TryLibrary, GivesUpOnAConstructorThatHangs) {
    const auto file = bad("constructor_hangs") / "constructor_hangs.so";
    const auto status = try_library(file, std::chrono::milliseconds(50));
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().sentence, HasSubstr("takes more than 50 ms"));
}

TEST(TryLibrary, GivesUpOnALoadThatHangs) {
    const auto status = try_library(bad("load_hangs") / "load_hangs.so", std::chrono::milliseconds(5000));
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().sentence, HasSubstr("its load() takes more than 5000 ms"));
}

TEST(Registry, SurvivesAnUnloadThatThrows) {
    testing::internal::CaptureStderr();
    {
        Registry registry;
        registry.load({bad("unload_throws")});
        EXPECT_NE(registry.pulse("fine"), nullptr);
        registry.unload();
        registry.unload();
    }
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_THAT(log, HasSubstr("unload() of a plugin library threw"));
    EXPECT_EQ(log.find("threw"), log.rfind("threw"));
}

struct PulseArgs : testing::Test {
    PulseArgs() {
        registry.load({bad("none")});
        pulse = *registry.pulse("fine");
    }
    Registry registry;
    Plugin pulse;
};

TEST_F(PulseArgs, AreTypedAndDefaulted) {
    const auto config = pulse_args(pulse, {{"port", "8080"}});
    ASSERT_TRUE(config);
    int64_t port = 0;
    EXPECT_EQ((*config)->c()->integer((*config)->c(), "port", &port), 0);
    EXPECT_EQ(port, 8080);
    gorb_str fault{};
    EXPECT_EQ((*config)->c()->text((*config)->c(), "fault", &fault), 0);
    EXPECT_EQ(std::string(fault.ptr, fault.len), "none");
}

TEST_F(PulseArgs, AreRefusedFieldByField) {
    const auto config = pulse_args(pulse, {{"port", "0"}, {"teapot", "1"}});
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().code, base::Errc::invalid);
    ASSERT_THAT(config.error().faults, SizeIs(2));
    EXPECT_EQ(config.error().faults[0].pointer, "/port");
    EXPECT_EQ(config.error().faults[1].pointer, "/teapot");
    EXPECT_THAT(config.error().faults[1].what, HasSubstr("known are: port, fault"));
}

TEST_F(PulseArgs, AreRefusedByThePluginInItsWords) {
    const auto words = pulse_args(pulse, {{"fault", "\"check\""}});
    ASSERT_FALSE(words);
    EXPECT_EQ(words.error().sentence, "port and fault do not go together");
    EXPECT_EQ(words.error().code, base::Errc::invalid);
    const auto silent = pulse_args(pulse, {{"fault", "\"check-silent\""}});
    ASSERT_FALSE(silent);
    EXPECT_THAT(silent.error().sentence, HasSubstr("error -22"));
    const auto threw = pulse_args(pulse, {{"fault", "\"check-throws\""}});
    ASSERT_FALSE(threw);
    EXPECT_THAT(threw.error().sentence, HasSubstr("check is broken"));
}

}  // namespace
}  // namespace gorb::plugin::registry_test
