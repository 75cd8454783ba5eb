// Against gRPC's own server (Debian's python3-grpcio), in clear text and with TLS.
#include <gmock/gmock.h>

#include <gorb/testing.hpp>

#include "loaded.h"
#include "process.h"
#include "tls_server.h"

namespace plugin_test {
namespace {

using gorb::testing::Report;
using gorb::testing::Values;
using testing::HasSubstr;
using tls_test::Identity;
using tls_test::PemFile;

class GrpcServer {
  public:
    explicit GrpcServer(const std::vector<std::string>& options = {}) {
        std::vector<std::string> command = {"/usr/bin/python3", GORB_TEST_DIR "/health_server.py",
                                            folder_.path + "/port"};
        command.insert(command.end(), options.begin(), options.end());
        process_ = std::make_unique<Process>("python3-grpcio", command, folder_.path + "/log");
        for (int turn = 0; turn < 1500 && port_ == 0; ++turn) {
            usleep(20'000);
            const std::string text = folder_.read("port");
            if (!text.empty()) port_ = static_cast<uint16_t>(std::stoi(text));
        }
        if (port_ == 0)
            throw std::runtime_error("no gRPC server (package python3-grpcio): " + folder_.read("log"));
    }
    uint16_t port() const { return port_; }
    void stop() { process_.reset(); }

  private:
    const Folder folder_;
    uint16_t port_ = 0;
    std::unique_ptr<Process> process_;
};

TEST(RealGrpc, EveryHealthHasItsVerdictAndWords) {
    const GrpcServer server;
    Instance grpc("grpc");
    const auto ask = [&](const std::string& service) {
        return grpc.run(server.port(), {{"service", service}});
    };
    const Report whole = ask("");
    EXPECT_EQ(whole.verdict, GORB_PASS);
    EXPECT_EQ(whole.detail, "SERVING");
    EXPECT_EQ(ask("web").detail, "service \"web\" is SERVING");
    const Report down = ask("down");
    EXPECT_EQ(down.verdict, GORB_FAIL);
    EXPECT_EQ(down.detail, "service \"down\" is NOT_SERVING");
    EXPECT_EQ(ask("odd").detail, "service \"odd\" is not known to the server (SERVICE_UNKNOWN)");
    const Report missing = ask("missing");
    EXPECT_EQ(missing.verdict, GORB_FAIL);
    EXPECT_EQ(missing.detail, "service \"missing\" is not known to the server (NOT_FOUND)");
    EXPECT_EQ(missing.code, 5);
    const Report denied = ask("secret");
    EXPECT_EQ(denied.detail, "PERMISSION_DENIED: not for the likes of you ??? ever");
    EXPECT_EQ(denied.code, 7);
}

TEST(RealGrpc, AServerWithoutHealthChecksSaysSo) {
    const GrpcServer server({"--without-health"});
    Instance grpc("grpc");
    const Report report = grpc.run(server.port());
    EXPECT_EQ(report.verdict, GORB_FAIL);
    EXPECT_EQ(report.detail, "the server has no grpc.health.v1 (UNIMPLEMENTED)");
    EXPECT_EQ(report.code, 12);
}

TEST(RealGrpc, AKeptConnectionServesManyChecksAndItsEndAsksForOne) {
    GrpcServer server;
    Instance grpc("grpc");
    const auto probe = grpc.pulse.add(gorb::testing::address("127.0.0.1", server.port()),
                                      {{"keep-alive", "true"}, {"service", "web"}});
    for (int turn = 0; turn < 50; ++turn) {
        const auto report = grpc.pulse.run(probe);
        ASSERT_TRUE(report);
        ASSERT_EQ(report->verdict, GORB_PASS) << turn << ": " << report->detail;
    }
    EXPECT_EQ(grpc.host.held(), std::vector<std::string>{"1 connection"});
    EXPECT_TRUE(grpc.host.rechecks().empty());
    server.stop();
    EXPECT_TRUE(grpc.host.loop().run_until([&] { return !grpc.host.rechecks().empty(); }));
    EXPECT_EQ(grpc.pulse.run(probe)->verdict, GORB_FAIL);
}

TEST(RealGrpc, TlsIsVerifiedUnlessToldOtherwise) {
    const Identity ca = Identity::authority(), other = Identity::authority("another CA");
    const Identity web = ca.sign({.names = {"web.example"}});
    const PemFile cert(web.certificate_pem()), key(web.key_pem()), trusted(ca.certificate_pem()),
        stranger(other.certificate_pem());
    const GrpcServer server({"--cert", cert.path(), "--key", key.path()});
    Instance grpc("grpc");
    const auto ask = [&](const Values& more) {
        Values args = {{"tls", "true"}, {"service", "web"}};
        args.insert(more.begin(), more.end());
        return grpc.run(server.port(), args);
    };
    const Report good = ask({{"ca", trusted.path()}, {"tls-name", "web.example"}});
    EXPECT_EQ(good.verdict, GORB_PASS) << good.detail;
    EXPECT_EQ(ask({{"ca", trusted.path()}, {"authority", "web.example:443"}}).verdict, GORB_PASS);
    EXPECT_EQ(ask({{"ca", trusted.path()}, {"authority", "web.example"}, {"keep-alive", "true"}}).verdict,
              GORB_PASS);
    const Report wrong_name = ask({{"ca", trusted.path()}, {"tls-name", "shop.example"}});
    EXPECT_EQ(wrong_name.verdict, GORB_FAIL);
    EXPECT_THAT(wrong_name.detail, HasSubstr("name"));
    EXPECT_EQ(ask({{"ca", stranger.path()}, {"tls-name", "web.example"}}).verdict, GORB_FAIL);
    EXPECT_EQ(ask({{"verify", "false"}}).verdict, GORB_PASS);
    EXPECT_EQ(grpc.run(server.port(), {{"service", "web"}}).verdict, GORB_FAIL) << "clear text to a TLS port";
}

TEST(RealGrpc, AClientCertificateIsShown) {
    const Identity ca = Identity::authority();
    const Identity web = ca.sign({.names = {"web.example"}}), own = ca.sign({.names = {"gorb"}});
    const PemFile cert(web.certificate_pem()), key(web.key_pem()), trusted(ca.certificate_pem());
    const PemFile own_both(own.certificate_pem() + own.key_pem());
    const GrpcServer server({"--cert", cert.path(), "--key", key.path(), "--client-ca", trusted.path()});
    Instance grpc("grpc");
    const Values args = {{"tls", "true"}, {"tls-name", "web.example"}, {"ca", trusted.path()}};
    EXPECT_EQ(grpc.run(server.port(), args).verdict, GORB_FAIL);
    Values with = args;
    with["cert"] = own_both.path();
    const Report report = grpc.run(server.port(), with);
    EXPECT_EQ(report.verdict, GORB_PASS) << report.detail;
}

}  // namespace
}  // namespace plugin_test
