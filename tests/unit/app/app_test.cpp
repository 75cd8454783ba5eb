#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>

#include "app/arguments.h"
#include "app/deadline.h"
#include "app/installation.h"
#include "app/plugin_options.h"
#include "app/settings.h"
#include "ipvs/vip.h"
#include "unit/ipvs/namespaces.h"

namespace gorb::app::app_test {
namespace {

struct SettingsTest : testing::Test {
    std::filesystem::path folder;

    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "gorb-settings-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        folder = name;
    }
    void TearDown() override { std::filesystem::remove_all(folder); }
    std::filesystem::path write(const std::string& name, const std::string& text) {
        std::filesystem::create_directories((folder / name).parent_path());
        std::ofstream(folder / name) << text;
        return folder / name;
    }
    std::string complaint(const std::string& text) {
        Settings settings;
        auto read = read_files(settings, write("gorb.ini", text));
        return read ? "" : read.error().sentence;
    }
};

TEST_F(SettingsTest, ValuesAreReadAndConfDWinsInTheOrderOfNames) {
    const auto file =
        write("gorb.ini", "; a comment\n[gorbd]\nlisten = 127.0.0.1:1\ndriver=memory\n[health]\nloops = 2\n");
    write("conf.d/20.ini", "[gorbd]\nlisten = 127.0.0.1:3\n");
    write("conf.d/10.ini", "[gorbd]\nlisten = 127.0.0.1:2\n[rest]\nidle-timeout = 5s\n");
    write("conf.d/README", "not read");
    write("conf.d/.#20.ini", "an editor's, not read");
    Settings settings;
    ASSERT_TRUE(read_files(settings, file));
    EXPECT_EQ(settings.listen, "127.0.0.1:3");
    EXPECT_EQ(settings.driver, DriverKind::memory);
    EXPECT_EQ(settings.loops, 2U);
    EXPECT_EQ(settings.idle_timeout, std::chrono::seconds(5));
}

TEST_F(SettingsTest, AnUnknownKeyIsAnErrorWithFileAndLine) {
    const std::string text = complaint("[gorbd]\n\nlisten = 127.0.0.1:1\nlisen = x\n");
    EXPECT_NE(text.find("gorb.ini:4: unknown key \"lisen\" in section [gorbd]"), std::string::npos) << text;
    EXPECT_NE(text.find("vip-interface"), std::string::npos) << text;
    EXPECT_NE(complaint("[nonsense]\na = b\n").find("known sections"), std::string::npos);
    EXPECT_NE(complaint("loops = 2\n").find("unknown key"), std::string::npos);
}

TEST_F(SettingsTest, AWrongValueSaysWhatWouldBeRight) {
    EXPECT_NE(
        complaint("[health]\nloops = many\n").find(":2: health.loops must be a whole number from 1 to 64"),
        std::string::npos);
    EXPECT_NE(complaint("[gorbd]\nlisten = here\n").find("ADDRESS:PORT"), std::string::npos);
    EXPECT_NE(complaint("[gorbd]\ndriver = tape\n").find("kernel or memory"), std::string::npos);
    EXPECT_NE(complaint("[rest]\nidle-timeout = 5\n").find("duration"), std::string::npos);
    EXPECT_NE(complaint("[gorbd]\nflush-on-start = perhaps\n").find("true or false"), std::string::npos);
}

TEST_F(SettingsTest, TheStoreIsOnDiskButWithTheMemoryDriverOnlyWhenChosen) {
    Settings settings;
    EXPECT_EQ(store_kind(settings), StoreKind::disk);
    EXPECT_EQ(settings.directory, "/var/lib/gorb");
    settings.driver = DriverKind::memory;
    EXPECT_EQ(store_kind(settings), StoreKind::memory);
    ASSERT_TRUE(set_option(settings, "store.directory", "/srv/gorb"));  // where, not whether
    EXPECT_EQ(store_kind(settings), StoreKind::memory);
    ASSERT_TRUE(set_option(settings, "store.store", "disk"));
    EXPECT_EQ(store_kind(settings), StoreKind::disk);
    settings.driver = DriverKind::kernel;
    ASSERT_TRUE(set_option(settings, "store.store", "memory"));
    EXPECT_EQ(store_kind(settings), StoreKind::memory);
}

TEST_F(SettingsTest, StoreAndReconcilerSayWhatWouldBeRight) {
    EXPECT_NE(complaint("[store]\nstore = tape\n").find("disk or memory"), std::string::npos);
    EXPECT_NE(complaint("[store]\ndirectory = here\n").find("absolute path"), std::string::npos);
    EXPECT_NE(complaint("[store]\ndirectory =\n").find("absolute path"), std::string::npos);
    EXPECT_EQ(complaint("[store]\ndeclared =\n"), "");
    EXPECT_NE(complaint("[store]\ndeclared = here\n").find("or empty"), std::string::npos);
    EXPECT_NE(complaint("[reconcile]\ndrift = ignore\n").find("repair or report"), std::string::npos);
    EXPECT_NE(complaint("[reconcile]\nperiod = 30\n").find("duration"), std::string::npos);
    EXPECT_NE(complaint("[reconcile]\nguard-share = 101\n").find("from 0 to 100"), std::string::npos);
    EXPECT_NE(complaint("[reconcile]\nguards = 1\n").find("guard-least"), std::string::npos);
}

TEST_F(SettingsTest, WhatIsNotIniAndWhatIsGivenTwiceAreErrorsWithALine) {
    EXPECT_NE(complaint("[gorbd]\nlisten\n").find(":2: must be"), std::string::npos);
    EXPECT_NE(complaint("[gorbd\n").find(":1: \"]\""), std::string::npos);
    EXPECT_NE(complaint("[gorbd]\ndriver = memory\ndriver = kernel\n")
                  .find(":3: gorbd.driver was given before, in line 2"),
              std::string::npos);
}

TEST_F(SettingsTest, ASettingBesideItsSectionIsAnErrorAndNotPassedOver) {
    EXPECT_NE(complaint("\n[reconcile] guard-share = 100\n").find(":2: after [reconcile]"),
              std::string::npos);
    EXPECT_EQ(complaint("[reconcile] ; a comment\n[health] # too = one\n[rest]\t\n"), "");
}

TEST_F(SettingsTest, ANumberIsDigitsAndNothingElse) {
    for (const char* text : {"1,5", "1.5", "1 5", "0x10", "-1", "1k", ""})
        EXPECT_NE(complaint(std::string("[health]\nmax-per-host = ") + text + "\n").find("a whole number"),
                  std::string::npos)
            << text;
    EXPECT_EQ(complaint("[health]\nmax-per-host =  15 \n"), "");
}

TEST_F(SettingsTest, OriginsOfWebPagesAreThoseThatABrowserWrites) {
    Settings settings;
    ASSERT_TRUE(read_files(
        settings, write("gorb.ini", "[rest]\nweb-origins = https://lb.example.com  http://[::1]:8080\n")));
    EXPECT_EQ(settings.web_origins,
              (std::vector<std::string>{"https://lb.example.com", "http://[::1]:8080"}));
    for (const char* text : {"lb.example.com", "https://lb.example.com/", "https://", "://lb", "*", "null",
                             "https://LB.example.com", "https://lb.example.com ; ours"})
        EXPECT_NE(complaint(std::string("[rest]\nweb-origins = ") + text + "\n").find("origins of web pages"),
                  std::string::npos)
            << text;
}

TEST_F(SettingsTest, WhatIsForPluginsIsKeptForThem) {
    Settings settings;
    ASSERT_TRUE(read_files(settings, write("gorb.ini", "[plugin.ldap-check]\nbase = dc=example\n")));
    EXPECT_EQ(settings.plugin_options.at("ldap-check").at("base"), "dc=example");
    const plugin::Registry none;
    auto options = pulse_options(none, settings);
    ASSERT_FALSE(options);
    EXPECT_NE(options.error().sentence.find("[plugin.ldap-check]"), std::string::npos);
}

TEST_F(SettingsTest, AStartGoesOnWithoutALibraryThatCanNotBeUsedAndWithoutItsOptions) {
    write("plugins/pulse-ldap-check.so", "no library");
    plugin::Registry registry;
    registry.load({folder / "plugins"});
    ASSERT_EQ(registry.refused().size(), 1U);
    const auto options = [&](const std::string& section) {
        Settings settings;
        EXPECT_TRUE(read_files(settings, write("gorb.ini", "[plugin." + section + "]\nuser = nobody\n")));
        return pulse_options(registry, settings);
    };
    EXPECT_TRUE(options("ldap-check"));
    // A library has any file name, and may have several plugins: which, nobody knows of one that is no
    // library.
    EXPECT_TRUE(options("another"));
    Settings settings;
    EXPECT_TRUE(read_files(settings, write("gorb.ini", "[plugin.another]\nuser = nobody\n")));
    const std::vector<std::string> warnings = option_warnings(registry, settings);
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_NE(warnings[0].find("gorb.ini:2: [plugin.another]: no plugin of that name"), std::string::npos)
        << warnings[0];
    EXPECT_TRUE(option_warnings(plugin::Registry(), Settings()).empty());
}

TEST_F(SettingsTest, AMissingFileIsAnError) {
    Settings settings;
    EXPECT_FALSE(read_files(settings, folder / "none.ini"));
}

TEST_F(SettingsTest, TheTableIsLookedAtEvery30SecondsUnlessToldOtherwise) {
    EXPECT_EQ(Settings().period, std::chrono::seconds(30));
}

TEST_F(SettingsTest, TheShippedFileNamesEveryOptionWithItsDefault) {
    std::ifstream shipped(GORB_SOURCE_DIR "/conf/gorb.ini");
    std::string section;
    std::string line;
    std::vector<std::string> named, of_plugins;
    Settings defaults;
    while (std::getline(shipped, line)) {
        if (line.starts_with("[")) section = line.substr(1, line.find(']') - 1);
        if (!line.starts_with(";") || line.starts_with("; ") || line.find('=') == std::string::npos) continue;
        const size_t equals = line.find('=');
        const std::string key = section + "." + line.substr(1, line.find_last_not_of(' ', equals - 1));
        std::string value = line.substr(equals + 1);
        value.erase(0, value.find_first_not_of(' '));
        Settings changed;
        EXPECT_TRUE(set_option(changed, key, value)) << key << " = " << value;
        // Which options a plugin has is for the plugin to say.
        (section.starts_with("plugin.") ? of_plugins : named).push_back(key);
        EXPECT_TRUE(
            changed.listen == defaults.listen && changed.driver == defaults.driver &&
            changed.interface == defaults.interface && changed.vip_interface == defaults.vip_interface &&
            changed.flush_on_start == defaults.flush_on_start &&
            changed.release_on_exit == defaults.release_on_exit && changed.log_level == defaults.log_level &&
            changed.plugin_directories == defaults.plugin_directories && changed.loops == defaults.loops &&
            changed.workers == defaults.workers && changed.worker_queue == defaults.worker_queue &&
            changed.blocked_after == defaults.blocked_after &&
            changed.max_connections == defaults.max_connections &&
            changed.idle_timeout == defaults.idle_timeout &&
            changed.request_timeout == defaults.request_timeout && changed.directory == defaults.directory &&
            changed.declared == defaults.declared && store_kind(changed) == store_kind(defaults) &&
            changed.period == defaults.period && changed.drift == defaults.drift &&
            changed.guard_share == defaults.guard_share && changed.guard_least == defaults.guard_least &&
            changed.max_in_flight == defaults.max_in_flight &&
            changed.max_per_host == defaults.max_per_host && changed.suspicion == defaults.suspicion &&
            changed.suspicion_threshold == defaults.suspicion_threshold &&
            changed.suspicion_least == defaults.suspicion_least &&
            changed.suspicion_thaw_after == defaults.suspicion_thaw_after &&
            changed.web_origins == defaults.web_origins)
            << key << " is not at its default";
    }
    EXPECT_EQ(named, option_keys());
    EXPECT_EQ(of_plugins, (std::vector<std::string>{"plugin.exec.directory", "plugin.exec.max-running",
                                                    "plugin.exec.user", "plugin.icmp.socket"}));
}

TEST(Arguments, LongShortAndUpstreamSpellingsMeanTheSame) {
    using Options = std::vector<std::pair<std::string, std::string>>;
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"-l", ":4672", "-vipi", "eth1", "-f", "-i", "eth0", "-v"},
          {"--listen=:4672", "--vip-interface", "eth1", "--flush", "--interface", "eth0", "--verbose"},
          {"-l=:4672", "--vipi=eth1", "-f", "-i=eth0", "-v"}}) {
        auto read = read_arguments(words);
        ASSERT_TRUE(read) << read.error().sentence;
        EXPECT_EQ(read->options, (Options{{"gorbd.listen", ":4672"},
                                          {"gorbd.vip-interface", "eth1"},
                                          {"gorbd.flush-on-start", "true"},
                                          {"gorbd.interface", "eth0"},
                                          {"gorbd.log-level", "debug"}}));
    }
}

TEST(Arguments, WhatIsOnOrOffMayBeSaidAsGoHasIt) {
    using Options = std::vector<std::pair<std::string, std::string>>;
    EXPECT_EQ(read_arguments({"-f=true"})->options, (Options{{"gorbd.flush-on-start", "true"}}));
    EXPECT_EQ(read_arguments({"-f=false", "-v=0"})->options, (Options{{"gorbd.flush-on-start", "false"}}));
    EXPECT_EQ(read_arguments({"--check-config=false"})->action, Action::run);
    // The last one wins.
    EXPECT_EQ(read_arguments({"-f", "-f=false"})->options, (Options{{"gorbd.flush-on-start", "false"}}));
    EXPECT_EQ(read_arguments({"-f=false", "-f"})->options, (Options{{"gorbd.flush-on-start", "true"}}));
    EXPECT_EQ(read_arguments({"-f", "--flush"})->options, (Options{{"gorbd.flush-on-start", "true"}}));
    EXPECT_EQ(read_arguments({"-v", "-v=false"})->options, Options{});
    EXPECT_FALSE(read_arguments({"--force", "--force=0"})->force);
    EXPECT_TRUE(read_arguments({"--force=0", "--force"})->force);
    EXPECT_EQ(read_arguments({"--plugins", "--plugins=false"})->action, Action::run);
    EXPECT_NE(read_arguments({"-f=perhaps"}).error().sentence.find("true or false"), std::string::npos);
}

TEST(Arguments, UpstreamFlagsWithoutMeaningSayWhatToDoInstead) {
    for (const std::string flag : {"-c", "-store", "-store-sync-time", "--store", "-store-service-path"}) {
        auto read = read_arguments({flag, "x"});
        ASSERT_FALSE(read) << flag;
        EXPECT_GT(read.error().sentence.size(), 40U);
    }
}

TEST(Arguments, MistakesAreNamed) {
    EXPECT_NE(read_arguments({"--nonsense"}).error().sentence.find("--nonsense"), std::string::npos);
    EXPECT_NE(read_arguments({"word"}).error().sentence.find("word"), std::string::npos);
    EXPECT_NE(read_arguments({"--listen"}).error().sentence.find("needs a value"), std::string::npos);
}

TEST(Arguments, PluginDirectoriesAddUp) {
    auto read = read_arguments({"--plugin-dir", "/a", "--plugin-dir=/b"});
    ASSERT_TRUE(read);
    Settings settings;
    for (const auto& [key, text] : read->options) ASSERT_TRUE(set_option(settings, key, text));
    EXPECT_EQ(settings.plugin_directories, (std::vector<std::filesystem::path>{"/a", "/b"}));
}

TEST(Arguments, ActionsOnTheStoreHaveTheirFile) {
    auto read = read_arguments({"--import", "/tmp/x", "--force"});
    ASSERT_TRUE(read);
    EXPECT_EQ(read->action, Action::import);
    EXPECT_EQ(read->file, "/tmp/x");
    EXPECT_TRUE(read->force);
    EXPECT_EQ(read_arguments({"--backup=/tmp/y"})->action, Action::backup);
    EXPECT_EQ(read_arguments({"--restore=/tmp/y"})->action, Action::restore);
    EXPECT_EQ(read_arguments({"--check-store"})->action, Action::check_store);
    EXPECT_NE(read_arguments({"--import"}).error().sentence.find("needs a value"), std::string::npos);
    EXPECT_NE(read_arguments({"--import="}).error().sentence.find("needs the name"), std::string::npos);
    EXPECT_NE(read_arguments({"--import=a", "--backup=b"}).error().sentence.find("only one"),
              std::string::npos);
}

// Whichever comes last would be done alone, and a restore is not what a check is.
TEST(Arguments, OneThingIsDoneAtATime) {
    for (const std::vector<std::string>& words :
         std::vector<std::vector<std::string>>{{"--check-config", "--import=a", "--force"},
                                               {"--import=a", "--check-config"},
                                               {"--check-store", "--restore=a"},
                                               {"--restore=a", "--check-store"},
                                               {"--plugins", "--check-config"}}) {
        const auto read = read_arguments(words);
        ASSERT_FALSE(read) << words[0];
        EXPECT_TRUE(read.error().sentence.starts_with("only one of --")) << read.error().sentence;
    }
}

TEST_F(SettingsTest, AFolderBesideTheUsualFileIsReadWithoutThat) {
    const std::filesystem::path file = folder / "gorb.ini";
    EXPECT_FALSE(is_configured(file));
    write("conf.d/.hidden.ini", "[gorbd]\nlisten = nowhere\n");
    EXPECT_FALSE(is_configured(file));
    write("conf.d/a.ini", "[gorbd]\nlisten = 127.0.0.1:1\n");
    EXPECT_TRUE(is_configured(file));
    Settings settings;
    ASSERT_TRUE(read_files(settings, file, true));
    EXPECT_EQ(settings.listen, "127.0.0.1:1");
    EXPECT_FALSE(read_files(settings, file)) << "somebody has named it";
    std::filesystem::remove_all(folder / "conf.d");
    EXPECT_FALSE(read_files(settings, file, true)) << "nothing is there";
    write("gorb.ini", "");
    EXPECT_TRUE(is_configured(file));
}

TEST(Arguments, AStateDirectoryMeansAStoreOnDisk) {
    auto read = read_arguments({"--driver", "memory", "--state-directory", "/srv/gorb"});
    ASSERT_TRUE(read);
    Settings settings;
    for (const auto& [key, text] : read->options) ASSERT_TRUE(set_option(settings, key, text));
    EXPECT_EQ(store_kind(settings), StoreKind::disk);
    EXPECT_EQ(settings.directory, "/srv/gorb");
}

TEST(Arguments, HelpNamesEveryOption) {
    const std::string text = help_text();
    for (const char* word :
         {"--config", "--listen", "--flush", "--vip-interface", "--driver", "--release-on-exit", "--import",
          "--force", "--backup", "--check-store", "--restore", "--state-directory"}) {
        EXPECT_NE(text.find(word), std::string::npos) << word;
    }
}

// Each spelling, with whatever stands for the value.
TEST(Arguments, HelpShowsWhatIsUnderstood) {
    const std::string text = help_text();
    std::vector<std::string> spellings;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("-")) continue;
        std::istringstream words(line.substr(0, line.find("  ")));
        for (std::string word; words >> word;) spellings.push_back(word.substr(0, word.find(',')));
    }
    EXPECT_GT(spellings.size(), 20U) << text;
    EXPECT_NE(std::ranges::find(spellings, "-lADDRESS:PORT"), spellings.end()) << text;
    for (const std::string& one : spellings) {
        const auto read = read_arguments({one});
        EXPECT_TRUE(read) << one << ": " << read.error().sentence;
    }
    ASSERT_FALSE(HasFailure());
    EXPECT_EQ(read_arguments({"-l127.0.0.1:1"})->options, read_arguments({"-l", "127.0.0.1:1"})->options);
    EXPECT_EQ(read_arguments({"-ia=b"})->options, read_arguments({"--interface", "a=b"})->options);
    EXPECT_FALSE(read_arguments({"-fx"}));
}

TEST(Deadline, IsCalledOnlyWhenAPartTakesTooLong) {
    std::promise<std::string> called;
    {
        Deadline late(std::chrono::milliseconds(1), [&](const char* part) { called.set_value(part); });
        late.begin("a part");
        auto told = called.get_future();
        ASSERT_EQ(told.wait_for(std::chrono::seconds(30)), std::future_status::ready);
        EXPECT_EQ(told.get(), "a part");
    }
    Deadline in_time(std::chrono::hours(1), [](const char*) { FAIL(); });
    in_time.begin("a part");
    in_time.begin("the next");
}

// The removal of a large table at the end is long, and no reason to leave in its middle.
TEST(Deadline, APartThatMovesMayTakeLonger) {
    std::promise<std::string> called;
    std::promise<void> asked_often;
    std::atomic<int> asked = 0;
    Deadline late(std::chrono::milliseconds(1), [&](const char* part) { called.set_value(part); });
    late.begin("it moves", [&] {
        if (++asked == 5) asked_often.set_value();
        return true;
    });
    auto told = called.get_future();
    ASSERT_EQ(asked_often.get_future().wait_for(std::chrono::seconds(30)), std::future_status::ready);
    EXPECT_EQ(told.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
    late.begin("it is stuck", [] { return false; });
    ASSERT_EQ(told.wait_for(std::chrono::seconds(30)), std::future_status::ready);
    EXPECT_EQ(told.get(), "it is stuck");
}

TEST(Installation, TheLoopbackInterfaceHasItsAddress) {
    EXPECT_EQ(interface_address("lo"), std::optional(*base::Ip::parse("127.0.0.1")));
    EXPECT_FALSE(interface_address("no-such-if"));
}

// The loopback interface with nothing but ::1 and this address.
bool has_only(const char* v6, uint32_t prefix) {
    struct {
        in6_addr address;
        uint32_t prefix;
        int index;
    } own{{}, prefix, static_cast<int>(if_nametoindex("lo"))};
    inet_pton(AF_INET6, v6, &own.address);
    ifreq none{};
    std::strcpy(none.ifr_name, "lo");
    none.ifr_addr.sa_family = AF_INET;
    const int v4_socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int v6_socket = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const bool done = ioctl(v4_socket, SIOCSIFADDR, &none) == 0 && ioctl(v6_socket, SIOCSIFADDR, &own) == 0;
    close(v4_socket);
    close(v6_socket);
    return done;
}

TEST(Installation, AVipIsNotTheAddressOfAnInterface) {
    const auto ran = ipvs::in_new_network_namespace([] {
        ASSERT_TRUE(has_only("2001:db8::1", 64));
        auto vips = ipvs::open_vip_table("lo");
        ASSERT_TRUE(vips) << vips.error().sentence;
        ASSERT_TRUE((*vips)->add(*base::Ip::parse("2001:db8::80"), *(*vips)->addresses()));
        EXPECT_EQ(interface_address("lo"), base::Ip::parse("2001:db8::1").value());
    });
    EXPECT_NE(static_cast<int>(ran), static_cast<int>(ipvs::InNamespace::failed)) << "see above";
    if (ran == ipvs::InNamespace::forbidden) GTEST_SKIP() << "network namespaces are forbidden here";
}

}  // namespace
}  // namespace gorb::app::app_test
