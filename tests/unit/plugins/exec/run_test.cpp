// pulse-exec runs programs: what they are given, what their end means, and that nothing is left of them.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <sstream>
#include <thread>

#include "child.h"
#include "programs.h"
#include "server.h"

namespace plugin_test {
namespace {

using gorb::testing::Clock;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

TEST_F(ExecTest, ExitStatusAndFirstLineMakeTheVerdict) {
    script("check", "echo \"it is so|x=1\"; echo more; exit $1");
    const std::pair<const char*, uint32_t> meaning[] = {
        {"0", GORB_PASS}, {"1", GORB_PASS}, {"2", GORB_FAIL}, {"3", GORB_UNKNOWN}};
    for (const auto& [status, verdict] : meaning) {
        const auto report = run("check", {{"arguments", "[" + std::string(status) + "]"}});
        EXPECT_EQ(report.verdict, verdict) << status;
        EXPECT_EQ(report.detail, "it is so");
        EXPECT_EQ(report.code, std::atoi(status));
        EXPECT_GT(report.latency_ns, 0u);
    }
    EXPECT_EQ(run("check", {{"arguments", "[1]"}, {"warning", "fail"}}).verdict, GORB_FAIL);
    EXPECT_EQ(run("check", {{"arguments", "[3]"}, {"unknown", "fail"}}).verdict, GORB_FAIL);
    EXPECT_EQ(run("check", {{"arguments", "[7]"}}).detail, "exit status 7: it is so");
}

TEST_F(ExecTest, ArgumentsAreHandedOnWithoutAShell) {
    script("check", "for a; do printf '<%s>' \"$a\"; done");
    const auto report = run(
        "check",
        {{"arguments", R"(["-H","{address}:{port}","$(id) ; 'x' *","-{family}","{service}/{backend}",""])"}});
    EXPECT_EQ(report.detail, "<-H><127.0.0.1:80><$(id) ; 'x' *><-4><web/b1><>");
    auto* six = add("check", {{"arguments", R"(["{address}","-{family}"])"}}, "2001:db8::1", 443);
    EXPECT_EQ(wait(pulse().start(six)).detail, "<2001:db8::1><-6>");
}

TEST_F(ExecTest, TheEnvironmentIsCleanAndTellsOfTheTarget) {
    ASSERT_EQ(setenv("GORB_TEST_SECRET", "do not tell", 1), 0);
    script("check", "tr '\\0' ' ' </proc/$$/environ");
    const auto report = run("check");
    unsetenv("GORB_TEST_SECRET");
    EXPECT_THAT(report.detail,
                MatchesRegex("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "
                             "GORB_ADDRESS=127.0.0.1 GORB_BACKEND=b1 GORB_FAMILY=4 GORB_PORT=80 "
                             "GORB_SERVICE=web GORB_TIMEOUT=(7.9.|8.00)"));
}

TEST_F(ExecTest, AProgramHasStandardInputOutputErrorAndNothingElse) {
    const int open_one = dup(0);  // without FD_CLOEXEC, as a careless library would
    copy("/bin/ls", "coreutils");
    EXPECT_EQ(run("ls", {{"arguments", R"(["-m", "/proc/self/fd"])"}}).detail, "0, 1, 2, 3")
        << "3 is the folder that ls itself opened";
    script("check", "exec ls -m /proc/self/fd");
    EXPECT_EQ(run("check").detail, "0, 1, 2, 3, 4") << "and that of the script's folder";
    close(open_one);
    script("input", "read -r line || echo end of input");
    EXPECT_EQ(run("input").detail, "end of input");
    script("error", "echo told to standard error >&2; exit 2");
    EXPECT_EQ(run("error").detail, "told to standard error");
}

TEST_F(ExecTest, SignalsAreAsAtTheBeginningOfTheWorld) {
    struct sigaction ignore {
    }, before{};
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGUSR1, &ignore, &before);
    sigset_t blocked, mask;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &blocked, &mask);
    copy("/bin/grep", "grep");
    for (const char* line : {"SigBlk", "SigIgn"})
        EXPECT_EQ(
            run("grep", {{"arguments", "[\"" + std::string(line) + "\", \"/proc/self/status\"]"}}).detail,
            std::string(line) + ": 0000000000000000");
    sigset_t after;
    pthread_sigmask(SIG_SETMASK, &mask, &after);
    EXPECT_TRUE(sigismember(&after, SIGUSR2)) << "our own mask is as it was";
    sigaction(SIGUSR1, &before, &ignore);
    EXPECT_EQ(ignore.sa_handler, SIG_IGN);
}

TEST_F(ExecTest, AProgramLeadsItsOwnSessionInTheRootFolderAndGainsNoPrivileges) {
    script("check",
           "read -r pid name state parent group session rest </proc/$$/stat\n"
           "[ $group = $$ ] && [ $session = $$ ] && echo \"leads, in $(pwd), $(grep NoNewPrivs "
           "/proc/$$/status)\"");
    EXPECT_EQ(run("check").detail, "leads, in /, NoNewPrivs: 1");
    script("limit", "ulimit -n");
    EXPECT_LE(std::stoi(run("limit").detail), 1024);
}

TEST_F(ExecTest, AFileBesideAScriptIsFoundByItsName) {
    file("common", "words='from beside'\n", 0644);
    script("check", ". \"$(dirname \"$0\")/common\"; echo \"$words\"");
    EXPECT_EQ(run("check").detail, "from beside");
}

TEST_F(ExecTest, RunsAsTheUserThatIsConfigured) {
    if (geteuid() != 0) {  // nobody else can
        options = {{"user", "nobody"}};
        script("check", "id -u");
        EXPECT_EQ(run("check").verdict, GORB_UNKNOWN);
        return;
    }
    options = {{"user", "nobody"}};
    script("check", "echo $(id -un) $(id -G) $(grep -c '^CapEff:.0*$' /proc/$$/status)");
    EXPECT_EQ(run("check").detail, "nobody 65534 1");
    file("closed", "#!/bin/sh\n", 0700);
    const auto closed = run("closed");
    EXPECT_EQ(closed.verdict, GORB_UNKNOWN);
    EXPECT_THAT(closed.detail, StartsWith("\"closed\" may not be run by the user nobody"));
}

TEST_F(ExecTest, AProgramOfAnotherUserTakesNoCoreFileAway) {
    if (geteuid() == 0) options = {{"user", "nobody"}};
    script("check", "exit 0");
    ASSERT_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
    EXPECT_EQ(run("check").verdict, GORB_PASS);
    EXPECT_EQ(prctl(PR_GET_DUMPABLE), 1);
}

#if !defined(__SANITIZE_THREAD__)  // it takes the clone() for a fork, after which it allows no new threads
// Each event loop starts programs of its own, on its own thread.
TEST_F(ExecTest, ProgramsOfAnotherUserThatStartAtOnceTakeNoCoreFileAway) {
    if (geteuid() != 0) return;  // nobody else can
    copy("/bin/true", "coreutils");
    const auto user = pulse_exec::User::find("nobody");
    const auto null = pulse_exec::above_three(pulse_exec::Descriptor(open("/dev/null", O_RDWR | O_CLOEXEC)));
    const pulse_exec::Descriptor there(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    ASSERT_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
    std::atomic<int> wrong = 0;
    const auto spawn_many = [&] {
        const pulse_exec::Stack stack;
        const pulse_exec::Program program{there.get(), "true", {"true"}, {}, &user};
        for (int i = 0; i < 100; ++i) {
            const pulse_exec::Child child = pulse_exec::spawn(program, null.get(), stack);
            siginfo_t info{};
            waitid(P_PID, static_cast<id_t>(child.pid), &info, WEXITED | WNOWAIT);
            const auto end = pulse_exec::reap(child.pid);
            if (!end || end->status != 0) ++wrong;
        }
    };
    std::thread one(spawn_many), two(spawn_many);
    one.join();
    two.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(prctl(PR_GET_DUMPABLE), 1);
}
#endif

TEST_F(ExecTest, AnUnknownUserOrARelativeFolderIsRefused) {
    gorb::testing::FakeHost own;
    const auto refused = [&](const Values& given) -> std::string {
        try {
            gorb::testing::PulseRunner runner(own, plugin("exec"), given);
        } catch (const std::runtime_error& e) {
            return e.what();
        }
        return "";
    };
    EXPECT_EQ(refused({{"user", "no-such-user"}}), "option \"user\": there is no user \"no-such-user\"");
    EXPECT_EQ(refused({{"directory", "checks"}}), "option \"directory\": \"checks\" is no absolute path");
    EXPECT_EQ(refused({{"directory", "/no/such/folder"}}), "") << "it may be made later";
}

// ---- hostile ones ----

TEST_F(ExecTest, GrandchildrenThatHoldThePipeAreNotWaitedForAndDie) {
    script("check", "sleep 1000 & echo $!; exit 0");
    const auto report = run("check");
    EXPECT_EQ(report.verdict, GORB_PASS);
    EXPECT_TRUE(soon_gone(std::stoi(report.detail))) << "it is of the same group";
}

// As process 1 of a container does.
TEST_F(ExecTest, WhoInheritsOrphansReapsThoseThatProgramsLeave) {
    ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    script("leaves", "sleep 100 & sleep 100 & echo fine");
    script("hangs", "(sleep 100; true); true");
    EXPECT_EQ(run("leaves").detail, "fine");
    EXPECT_EQ(run("hangs", {}, milliseconds(300)).verdict, GORB_FAIL);
    EXPECT_EQ(run("leaves").detail, "fine");
    EXPECT_TRUE(host->loop().run_until([] {
        siginfo_t info{};
        return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
    })) << "a zombie is left";
    EXPECT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

TEST_F(ExecTest, WhoIgnoresSignalsIsKilledAtTheDeadline) {
    script("check", "trap '' TERM INT HUP QUIT; echo still here; while :; do sleep 1000; done");
    const auto began = std::chrono::steady_clock::now();
    const auto report = run("check", {}, milliseconds(400));
    EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(5));
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.code, ETIMEDOUT);
    EXPECT_THAT(report.detail, MatchesRegex("no exit within (39.|4..)ms, killed; it said: still here"));
    EXPECT_LT(report.run, 2u);
}

TEST_F(ExecTest, EndlessOutputIsDrainedWithoutKeepingItOrTheLoop) {
    script("check", "exec yes well");
    auto* probe = add("check");
    host->forget_slowest();
    const auto report = wait(pulse().start(probe, milliseconds(700)));
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_THAT(report.detail, MatchesRegex("no exit within .*, killed; it said: well"));
    EXPECT_LT(host->slowest().took, milliseconds(200)) << host->slowest().what;
}

TEST_F(ExecTest, MuchOutputBeforeTheEndIsNoHindrance) {
    script("check", "echo well; head -c 3000000 /dev/zero");
    EXPECT_EQ(run("check").detail, "well");
}

TEST_F(ExecTest, OutputAtTheVeryEndIsRead) {
    script("check", "printf well");
    for (int i = 0; i < 50; ++i) ASSERT_EQ(run("check").detail, "well");
}

TEST_F(ExecTest, NoOutputAHugeLineAndWhatIsNoUtf8AllHaveWords) {
    script("silent", "exit 2");
    EXPECT_EQ(run("silent").detail, "exit status 2, nothing said");
    script("closed", "exec >&- 2>&-; exit 7");
    EXPECT_EQ(run("closed").detail, "exit status 7");
    script("huge", "head -c 1000000 /dev/zero | tr '\\0' x");
    EXPECT_EQ(run("huge").detail, std::string(256, 'x'));
    script("latin", "printf 'caf\\351\\033[2J\\n'");
    EXPECT_EQ(run("latin").detail, "caf\xEF\xBF\xBD?[2J");
}

TEST_F(ExecTest, KilledBySignalFailsWithItsName) {
    script("check", "echo halfway; kill -SEGV $$");
    const auto report = run("check");
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.detail, "killed by SIGSEGV: halfway");
}

TEST_F(ExecTest, WhatCanNotBeStartedIsOurOwnTrouble) {
    file("lost", "#!/no/such/interpreter\n");
    EXPECT_EQ(run("lost").verdict, GORB_UNKNOWN);
    EXPECT_EQ(run("lost").detail,
              "\"lost\" could not be started: the interpreter named in its first line is missing, or that "
              "line ends in CR LF");
    file("windows", "#!/bin/sh\r\nexit 0\r\n");
    EXPECT_THAT(run("windows").detail, HasSubstr("CR LF"));
    file("text", "this is no program\n");
    EXPECT_EQ(run("text").verdict, GORB_UNKNOWN);
    EXPECT_THAT(run("text").detail, StartsWith("\"text\" is no program"));
    file("empty", "");
    EXPECT_EQ(run("empty").verdict, GORB_UNKNOWN);
}

// ---- the end of a run ----

TEST_F(ExecTest, CancelKillsTheProgramAndAllOfItsGroup) {
    clock = Clock::manual;
    script("check", "sleep 1000 & echo $! $$ >\"$(dirname \"$0\")/pids\"; wait");
    auto* probe = add("check");
    const gorb_run one = pulse().start(probe);
    std::istringstream pids(line_of("pids"));
    pid_t child = 0, leader = 0;
    pids >> child >> leader;
    pulse().cancel(probe, one);
    EXPECT_TRUE(soon_gone(child));
    EXPECT_TRUE(soon_gone(leader));
    EXPECT_TRUE(host->reports().empty());
    script("check", "exit 0");
    EXPECT_EQ(wait(pulse().start(probe)).verdict, GORB_PASS) << "and the next run is a new one";
}

TEST_F(ExecTest, RemoveAndDestroyKillWhatRuns) {
    clock = Clock::manual;
    script("check", "echo $$ >\"$(dirname \"$0\")/$GORB_PORT\"; sleep 1000");
    auto* first = add("check", {}, "127.0.0.1", 1);
    auto* second = add("check", {}, "127.0.0.1", 2);
    pulse().start(first);
    pulse().start(second);
    const pid_t one = std::stoi(line_of("1")), two = std::stoi(line_of("2"));
    pulse().remove(first);
    EXPECT_TRUE(soon_gone(one));
    EXPECT_FALSE(gone(two));
    stop();
    EXPECT_TRUE(soon_gone(two));
}

TEST_F(ExecTest, DiesWithTheThreadThatStartedIt) {
    script("check", "grep -q . /proc/$$/stat; echo $$; sleep 1000");
    // The setting itself can not be read from outside; a process of its own shows what it does.
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t starter = fork();
    if (starter == 0) {
        auto* probe = add("check");
        pulse().start(probe);
        host->loop().run_until([&] { return false; }, milliseconds(1));
        std::string pid;
        for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
            std::ifstream in(entry.path() / "stat");
            std::string number, name, state, parent;
            if (in >> number >> name >> state >> parent && parent == std::to_string(getpid())) pid = number;
        }
        pid += "\n";
        const bool told = write(ends[1], pid.data(), pid.size()) > 0;
        kill(getpid(), SIGKILL);
        _exit(told ? 1 : 2);
    }
    close(ends[1]);
    char text[32] = "";
    ASSERT_GT(read(ends[0], text, sizeof text - 1), 1);
    close(ends[0]);
    waitpid(starter, nullptr, 0);
    host = std::make_unique<gorb::testing::FakeHost>(clock);
    EXPECT_TRUE(soon_gone(std::atoi(text)));
}

// ---- places ----

TEST_F(ExecTest, NoMoreThanSoManyRunAndTheOthersWaitInTheirOrder) {
    options = {{"max-running", "1"}};
    script("check",
           "set -e; mkdir \"$(dirname \"$0\")/busy\"; sleep 0.02; rmdir \"$(dirname \"$0\")/busy\"; echo "
           "$GORB_BACKEND");
    std::vector<gorb_run> runs;
    runs.reserve(8);
    for (int i = 0; i < 8; ++i) runs.push_back(pulse().start(add("check")));
    for (const gorb_run one : runs) wait(one);
    std::string order;
    for (const auto& report : host->reports()) {
        EXPECT_EQ(report.verdict, GORB_PASS) << report.detail;
        order += report.detail;
    }
    EXPECT_EQ(order, "b1b2b3b4b5b6b7b8");
}

TEST_F(ExecTest, WhoWaitsUntilTheDeadlineIsUnknownAndNotFailed) {
    clock = Clock::manual;
    options = {{"max-running", "2"}};
    script("check", "sleep 1000");
    for (int i = 0; i < 2; ++i) pulse().start(add("check"), seconds(60));
    auto* late = add("check");
    const gorb_run waiting = pulse().start(late, seconds(5));
    host->loop().advance(seconds(5) - milliseconds(1));
    EXPECT_TRUE(host->reports().empty()) << "it leaves the deadline to gorbd, which may see it late";
    host->loop().advance(milliseconds(1));
    const auto report = wait(waiting);
    EXPECT_EQ(report.verdict, GORB_UNKNOWN);
    EXPECT_EQ(report.detail, "all 2 places for programs are taken");
    EXPECT_EQ(host->reports().size(), 1u);
}

TEST_F(ExecTest, WhoGotItsPlaceTooLateIsUnknownAndNotFailed) {
    clock = Clock::manual;
    options = {{"max-running", "1"}};
    script("check", "echo $$ >\"$(dirname \"$0\")/$GORB_PORT\"; sleep 1000");
    auto* first = add("check", {}, "127.0.0.1", 1);
    const gorb_run one = pulse().start(first, seconds(60));
    line_of("1");
    const gorb_run waiting = pulse().start(add("check", {}, "127.0.0.1", 2), seconds(5));
    host->loop().advance(seconds(4));
    pulse().cancel(first, one);
    line_of("2");  // it runs now
    host->loop().advance(seconds(1));
    const auto report = wait(waiting);
    EXPECT_EQ(report.verdict, GORB_UNKNOWN);
    EXPECT_THAT(report.detail, HasSubstr("it waited for a place before"));
}

TEST_F(ExecTest, ACancelledRunThatWaitedIsNeverStarted) {
    clock = Clock::manual;
    options = {{"max-running", "1"}};
    script("check", "echo $$ >\"$(dirname \"$0\")/$GORB_PORT\"; [ $GORB_PORT = 3 ] || sleep 1000");
    auto* first = add("check", {}, "127.0.0.1", 1);
    auto* second = add("check", {}, "127.0.0.1", 2);
    auto* third = add("check", {}, "127.0.0.1", 3);
    const gorb_run one = pulse().start(first), two = pulse().start(second), three = pulse().start(third);
    pulse().cancel(second, two);
    line_of("1");
    pulse().cancel(first, one);
    EXPECT_EQ(wait(three).verdict, GORB_PASS);
    EXPECT_FALSE(std::filesystem::exists(folder + "/2"));
}

// ---- many ----

TEST_F(ExecTest, AThousandRunsLeaveNoProcessAndNoDescriptor) {
    script("well", "exit 0");
    script("bad", "echo bad; exit 2");
    copy("/bin/true", "coreutils");
    std::vector<void*> probes;
    probes.reserve(100);
    for (int i = 0; i < 100; ++i) probes.push_back(add(i % 3 == 0 ? "well" : i % 3 == 1 ? "bad" : "true"));
    run("true");
    const size_t before = descriptors();
    for (int turn = 0; turn < 10; ++turn) {
        std::vector<gorb_run> runs;
        runs.reserve(probes.size());
        for (auto* probe : probes) runs.push_back(pulse().start(probe, seconds(60)));
        for (size_t i = 0; i < runs.size(); ++i)
            ASSERT_EQ(wait(runs[i]).verdict, i % 3 == 1 ? GORB_FAIL : GORB_PASS) << i;
    }
    EXPECT_EQ(descriptors(), before);
    siginfo_t info{};
    EXPECT_EQ(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), -1) << "no zombie, and nothing runs";
    EXPECT_EQ(errno, ECHILD);
}

TEST_F(ExecTest, OutOfDescriptorsIsOurOwnTrouble) {
    script("check", "exit 0");
    auto* probe = add("check");
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    rlimit tight = limit;
    const int next = dup(0);
    close(next);
    tight.rlim_cur = static_cast<rlim_t>(next);  // not one more
    setrlimit(RLIMIT_NOFILE, &tight);
    const gorb_run one = pulse().start(probe);
    setrlimit(RLIMIT_NOFILE, &limit);
    EXPECT_EQ(wait(one).verdict, GORB_UNKNOWN);
    EXPECT_THAT(wait(one).detail, HasSubstr("Too many open files"));
    EXPECT_EQ(wait(pulse().start(probe)).verdict, GORB_PASS);
}

// ---- programs of others ----

TEST_F(ExecTest, CheckTcpOfTheMonitoringPluginsTellsAnOpenPortFromAClosedOne) {
    copy("/usr/lib/nagios/plugins/check_tcp", "monitoring-plugins-basic");
    const Server server([](Peer& peer) { peer.write("220 mail.example.org ESMTP\r\n"); });
    const ClosedPort closed;
    const Values args = {
        {"arguments", R"(["-{family}", "-H", "{address}", "-p", "{port}", "-e", "220", "-t", "5"])"}};
    const auto open = wait(pulse().start(add("check_tcp", args, "127.0.0.1", server.port())));
    EXPECT_EQ(open.verdict, GORB_PASS);
    EXPECT_THAT(open.detail, StartsWith("TCP OK - "));
    EXPECT_THAT(open.detail, testing::Not(HasSubstr("|"))) << "figures are cut";
    const auto refused = wait(pulse().start(add("check_tcp", args, "127.0.0.1", closed.port())));
    EXPECT_EQ(refused.verdict, GORB_FAIL);
    EXPECT_EQ(refused.code, 2);
    EXPECT_THAT(refused.detail, HasSubstr("Connection refused"));
}

TEST_F(ExecTest, CheckSshOfTheMonitoringPluginsReadsAGreeting) {
    copy("/usr/lib/nagios/plugins/check_ssh", "monitoring-plugins-basic");
    const Server server([](Peer& peer) { peer.write("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"); });
    const Values args = {{"arguments", R"(["-p", "{port}", "{address}"])"}};
    const auto report = wait(pulse().start(add("check_ssh", args, "127.0.0.1", server.port())));
    EXPECT_EQ(report.verdict, GORB_PASS) << report.detail;
    EXPECT_THAT(report.detail, StartsWith("SSH OK - OpenSSH_9.2p1 Debian-2"));
}

}  // namespace
}  // namespace plugin_test
