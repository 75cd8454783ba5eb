#include "app/declared.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "store/transitions.h"

namespace gorb::app::declared_test {
namespace {

struct DeclaredTest : testing::Test {
    std::filesystem::path folder;

    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "gorb-declared-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        folder = name;
    }
    void TearDown() override { std::filesystem::remove_all(folder); }
    std::filesystem::path write(const std::string& name, const std::string& text) {
        std::ofstream(folder / name) << text;
        return folder / name;
    }
    std::string complaint() {
        const auto read = read_declared(folder, {});
        return read ? "" : read.error().sentence;
    }
};

TEST_F(DeclaredTest, AllFilesTogetherAreOneState) {
    write("20.json", R"({"services": {"a": {"address": "10.0.0.2", "port": 80}}})");
    write("10.json", R"({"services": {"web": {"address": "10.0.0.1", "port": 80, "backends": {
                         "b1": {"address": "10.1.0.1", "port": 80}}}}})");
    write("README", "not read");
    write(".hidden.json", "not read");
    write("30.json~", "not read");
    const auto read = read_declared(folder, {});
    ASSERT_TRUE(read) << read.error().sentence;
    ASSERT_EQ(read->config.services.size(), 2U);
    EXPECT_EQ(read->config.services[0].spec.name, "a");
    EXPECT_EQ(read->config.services[1].spec.name, "web");
    EXPECT_EQ(count_text(read->config), "2 virtual services, 1 backend");
    EXPECT_EQ(read->files, (Files{{"a", folder / "20.json"}, {"web", folder / "10.json"}}));
}

TEST_F(DeclaredTest, AnEmptyFolderIsTheEmptyState) {
    ASSERT_TRUE(read_declared(folder, {}));
    EXPECT_TRUE(read_declared(folder, {})->config.services.empty());
}

TEST_F(DeclaredTest, AFolderWithoutFilesSaysNothingOfWhatCameOfThem) {
    const auto refused = [this](const model::Snapshot& now) {
        const auto read = refuse_nothing(*read_declared(folder, {}), folder, now);
        return read ? "" : read.error().sentence;
    };
    const auto state = [](model::Origin origin) {
        store::Builder builder;
        model::Service web;
        web.name = "web";
        web.key.vip = *base::Endpoint::parse("10.0.0.1:80");
        builder.add(web, 1, origin);
        return builder.finish(1);
    };
    EXPECT_EQ(refused({}), "");
    EXPECT_EQ(refused(state(model::Origin::api)), "");
    EXPECT_EQ(refused(state(model::Origin::file)),
              "there is no *.json in " + folder.string() +
                  "; to remove all that came of files put one with {\"services\": {}} there");
    write("none.json", R"({"services": {}})");
    EXPECT_EQ(refused(state(model::Origin::file)), "");
}

TEST_F(DeclaredTest, AFaultThatIsFoundLaterNamesItsFileToo) {
    const Files files{{"web", "/d/10.json"}, {"dns", "/d/20.json"}};
    const base::Error error =
        with_files(base::faults_error({{"/services/dns/backends/b1/pulse/args/pth", "is unknown"},
                                       {"/services/web", "is in the way"},
                                       {"/services/other/port", "is wrong"},
                                       {"", "is wrong"}}),
                   files);
    EXPECT_EQ(error.code, base::Errc::invalid);
    EXPECT_TRUE(error.sentence.starts_with("/d/20.json: /services/dns/backends/b1/pulse/args/pth is unknown"))
        << error.sentence;
    ASSERT_EQ(error.faults.size(), 4U);
    EXPECT_EQ(error.faults[1].pointer, "/d/10.json: /services/web");
    EXPECT_EQ(error.faults[2].pointer, "/services/other/port");
    EXPECT_EQ(error.faults[3].pointer, "");
    const base::Error other{base::Errc::stale, "it is too much", {}, 0};
    EXPECT_EQ(with_files(other, files).sentence, other.sentence);
}

TEST_F(DeclaredTest, AFaultNamesFileAndPointer) {
    write("10.json", R"({"services": {"web": {"address": "10.0.0.1", "port": 80}}})");
    const auto bad =
        write("20.json", R"({"services": {"dns": {"address": "10.0.0.1", "port": -1, "x": 1}}})");
    const auto read = read_declared(folder, {});
    ASSERT_FALSE(read);
    EXPECT_TRUE(read.error().sentence.starts_with(bad.string() + ": /services/dns/port "))
        << read.error().sentence;
    EXPECT_EQ(read.error().faults.size(), 2U);
    write("20.json", "{");
    EXPECT_TRUE(complaint().starts_with(bad.string() + ": this is not JSON")) << complaint();
}

TEST_F(DeclaredTest, AServiceInTwoFilesIsAnErrorThatNamesBoth) {
    const std::string web = R"({"services": {"web": {"address": "10.0.0.1", "port": 80}}})";
    const auto first = write("10.json", web);
    const auto second = write("20.json", web);
    EXPECT_EQ(complaint(), second.string() + ": /services/web is in " + first.string() + " already");
    write("20.json", R"({"services": {"shop": {"address": "10.0.0.1", "port": 80}}})");
    EXPECT_EQ(complaint(), second.string() +
                               ": /services/shop has the address, port and protocol "
                               "10.0.0.1:80/tcp that service \"web\" in " +
                               first.string() + " has");
}

TEST_F(DeclaredTest, WhatCanNotBeReadIsAnError) {
    std::filesystem::create_directory(folder / "10.json");
    EXPECT_NE(complaint().find("10.json: it is no file"), std::string::npos) << complaint();
    std::filesystem::remove(folder / "10.json");
    std::filesystem::create_symlink("nowhere", folder / "10.json");
    EXPECT_NE(complaint().find("10.json: there is none"), std::string::npos) << complaint();
    EXPECT_FALSE(read_declared(folder / "missing", {}));
}

TEST_F(DeclaredTest, ADocumentIsReadByItsFirstCharacter) {
    const auto json = write("a", "\n {\"services\": {\"web\": {\"address\": \"10.0.0.1\", \"port\": 80}}}");
    ASSERT_TRUE(read_document(json, {}));
    EXPECT_EQ(read_document(json, {})->services[0].spec.name, "web");
    const auto saved = write("b", "-A -t 10.0.0.1:80 -s wrr\n-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 1\n");
    ASSERT_TRUE(read_document(saved, {}));
    EXPECT_EQ(read_document(saved, {})->services[0].spec.name, "tcp-10.0.0.1-80");
    const auto bad = read_document(write("c", "-A -f 1\n"), {});
    ASSERT_FALSE(bad);
    EXPECT_TRUE(bad.error().sentence.starts_with((folder / "c").string() + ": line 1 is of a firewall mark"))
        << bad.error().sentence;
    EXPECT_FALSE(read_document(folder / "missing", {}));
}

TEST_F(DeclaredTest, AFileWithNothingInItIsNotTheDocumentOfAnEmptyState) {
    for (const char* nothing : {"", " \n\t\n", "# ipvsadm -Sn\n"}) {
        const auto read = read_document(write("a", nothing), {});
        ASSERT_TRUE(read) << nothing;
        EXPECT_TRUE(read->services.empty());
        EXPECT_TRUE(read->blank) << nothing;
    }
    const auto read = read_document(write("a", R"({"services": {}})"), {});
    ASSERT_TRUE(read);
    EXPECT_TRUE(read->services.empty());
    EXPECT_FALSE(read->blank);
}

TEST_F(DeclaredTest, PulsesOfPluginsThatAreNotLoadedArePointedTo) {
    write("10.json", R"({"services": {"web": {"address": "10.0.0.1", "port": 80, "backends": {
                         "b1": {"address": "10.1.0.1", "port": 80, "pulse": {"type": "nonsense"}}}}}})");
    const plugin::Registry none;
    const auto checked = check_pulses(read_declared(folder, {})->config, none);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().faults.at(0).pointer, "/services/web/backends/b1/pulse/type");
    EXPECT_TRUE(check_pulses({}, none));
}

}  // namespace
}  // namespace gorb::app::declared_test
