// Which programs pulse-exec takes: at add(), and again at every start.
#include <gmock/gmock.h>

#include "programs.h"

namespace plugin_test {
namespace {

using gorb::testing::PulseRunner;
using testing::HasSubstr;

TEST_F(ExecTest, OnlyPlainNamesAreTaken) {
    for (const char* name : {"", ".", "..", "/bin/true", "../true", "sub/true", "a/", "/"})
        EXPECT_THAT(PulseRunner::check(plugin("exec"), {{"program", name}}), HasSubstr("plain name")) << name;
    EXPECT_THAT(PulseRunner::check(plugin("exec"), {{"program", std::string(256, 'a')}}),
                HasSubstr("plain name"));
    EXPECT_THAT(PulseRunner::check(plugin("exec"), {{"program", std::string("a\0b", 3)}}),
                HasSubstr("plain name"));
    EXPECT_EQ(PulseRunner::check(plugin("exec"), {{"program", "..a b"}}), "");
    EXPECT_THROW(PulseRunner::check(plugin("exec"), {}), std::invalid_argument) << "it is required";
}

TEST_F(ExecTest, WrongArgumentsAreRefusedBeforeAnythingRuns) {
    EXPECT_THAT(PulseRunner::check(plugin("exec"), {{"program", "a"}, {"arguments", "\"-v\""}}),
                HasSubstr("must be an array of texts"));
    EXPECT_THAT(PulseRunner::check(plugin("exec"), {{"program", "a"}, {"arguments", "[\"{host}\"]"}}),
                HasSubstr("{host} stands for nothing"));
}

TEST_F(ExecTest, WhatIsMissingOrNoProgramIsRefusedInWords) {
    EXPECT_EQ(refusal("nobody"), "there is no program \"nobody\" in " + folder);
    file("text", "#!/bin/sh\n", 0644);
    EXPECT_THAT(refusal("text"), HasSubstr("is not executable"));
    std::filesystem::create_directory(folder + "/sub");
    EXPECT_THAT(refusal("sub"), HasSubstr("is no regular file"));
    ASSERT_EQ(mkfifo((folder + "/fifo").c_str(), 0755), 0);
    EXPECT_THAT(refusal("fifo"), HasSubstr("is no regular file"));
}

TEST_F(ExecTest, ASymbolicLinkOutOfTheFolderIsRefused) {
    std::filesystem::create_symlink("/bin/true", folder + "/link");
    EXPECT_THAT(refusal("link"), HasSubstr("is a symbolic link"));
}

TEST_F(ExecTest, WhatOthersMayWriteToIsRefused) {
    file("check", "#!/bin/sh\n", 0775);
    EXPECT_THAT(refusal("check"), HasSubstr("is writable by its group or by others (mode 0775)"));
    chmod((folder + "/check").c_str(), 0757);
    EXPECT_THAT(refusal("check"), HasSubstr("is writable by its group or by others (mode 0757)"));
    chmod((folder + "/check").c_str(), 0755);
    EXPECT_EQ(refusal("check"), "");
    chmod(folder.c_str(), 0777);
    EXPECT_THAT(refusal("check"), HasSubstr("the folder of programs, " + folder + ", is writable by"));
    chmod(folder.c_str(), 01777);
    EXPECT_THAT(refusal("check"), HasSubstr("is writable by")) << "sticky or not";
    chmod(folder.c_str(), 0755);
}

TEST_F(ExecTest, ASetuidProgramIsRefused) {
    file("check", "#!/bin/sh\n", 04755);
    EXPECT_THAT(refusal("check"), HasSubstr("has the setuid or setgid bit (mode 4755)"));
    chmod((folder + "/check").c_str(), 02755);
    EXPECT_THAT(refusal("check"), HasSubstr("has the setuid or setgid bit (mode 2755)"));
}

TEST_F(ExecTest, WhatBelongsToSomebodyElseIsRefused) {
    if (geteuid() != 0) return;  // only root can give a file away
    file("check", "#!/bin/sh\n");
    ASSERT_EQ(chown((folder + "/check").c_str(), 12345, 12345), 0);
    EXPECT_THAT(refusal("check"),
                HasSubstr("belongs to the user 12345; it must belong to root or to the user"));
    ASSERT_EQ(chown((folder + "/check").c_str(), 0, 0), 0);
    ASSERT_EQ(chown(folder.c_str(), 12345, 12345), 0);
    EXPECT_THAT(refusal("check"),
                HasSubstr("the folder of programs, " + folder + ", belongs to the user 12345"));
    ASSERT_EQ(chown(folder.c_str(), 0, 0), 0);
}

TEST_F(ExecTest, AMissingFolderOrAFileInItsPlaceIsRefusedInWords) {
    options["directory"] = folder + "/none";
    EXPECT_THAT(refusal("check"), HasSubstr("does not exist; make it, or name another one as \"directory\""));
    file("none", "");
    EXPECT_THAT(refusal("check"), HasSubstr("is no folder"));
}

TEST_F(ExecTest, EveryStartLooksAgain) {
    script("check", "exit 0");
    auto* probe = add("check");
    EXPECT_EQ(wait(pulse().start(probe)).verdict, GORB_PASS);
    chmod((folder + "/check").c_str(), 0777);
    auto report = wait(pulse().start(probe));
    EXPECT_EQ(report.verdict, GORB_UNKNOWN) << "nothing is known of the target";
    EXPECT_THAT(report.detail, HasSubstr("writable by"));
    chmod((folder + "/check").c_str(), 0755);
    chmod(folder.c_str(), 0777);
    EXPECT_EQ(wait(pulse().start(probe)).verdict, GORB_UNKNOWN);
    chmod(folder.c_str(), 0755);
    std::filesystem::remove(folder + "/check");
    std::filesystem::create_symlink("/bin/true", folder + "/check");
    EXPECT_THAT(wait(pulse().start(probe)).detail, HasSubstr("symbolic link"));
    std::filesystem::remove(folder + "/check");
    EXPECT_THAT(wait(pulse().start(probe)).detail, HasSubstr("there is no program"));
    script("check", "exit 0");
    EXPECT_EQ(wait(pulse().start(probe)).verdict, GORB_PASS);
}

}  // namespace
}  // namespace plugin_test
