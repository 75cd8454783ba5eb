#include "io/tls_context.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <vector>

#include "unit/tls_server.h"

namespace gorb::io::io_tls_context_test {
namespace {

using tls_test::Identity;
using tls_test::PemFile;

TEST(TlsContext, HoweverManyAreInUseEachIsReadOnce) {
    const Identity ca = Identity::authority();
    std::deque<PemFile> files;
    for (int i = 0; i < 200; ++i) files.emplace_back(ca.certificate_pem());
    std::vector<std::shared_ptr<SSL_CTX>> first;
    first.reserve(files.size());
    for (const PemFile& file : files) first.push_back(*tls_context(file.path(), "", ""));
    for (size_t i = 0; i < files.size(); ++i) EXPECT_EQ(*tls_context(files[i].path(), "", ""), first[i]) << i;
}

TEST(TlsContext, OfManyThoseThatNobodyAskedForAreForgotten) {
    base::ManualClock clock;
    TlsContexts contexts(clock);
    const Identity ca = Identity::authority();
    std::deque<PemFile> files;
    for (size_t i = 0; i < 2 * TlsContexts::always; ++i) files.emplace_back(ca.certificate_pem());
    const auto ask = [&](size_t first, size_t count) {
        std::vector<std::shared_ptr<SSL_CTX>> all;
        for (size_t i = first; i < first + count; ++i) all.push_back(*contexts.get(files[i].path(), "", ""));
        return all;
    };
    const auto few = ask(0, TlsContexts::always);
    clock.advance(10 * TlsContexts::idle);
    EXPECT_EQ(ask(0, TlsContexts::always), few);
    ask(TlsContexts::always, TlsContexts::always);
    for (int i = 0; i < 8; ++i) {
        clock.advance(TlsContexts::idle / 4);
        EXPECT_EQ(ask(0, 3), std::vector(few.begin(), few.begin() + 3));
    }
    EXPECT_EQ(contexts.size(), 3U);
}

TEST(TlsContext, CAsAreReadOnceForAllClientCertificates) {
    const Identity ca = Identity::authority();
    const PemFile trusted(ca.certificate_pem());
    const Identity a = ca.sign({}), b = ca.sign({});
    const PemFile first(a.certificate_pem() + a.key_pem()), second(b.certificate_pem() + b.key_pem());
    for (const std::string& file : {trusted.path(), std::string()}) {
        const auto one = *tls_context(file, first.path(), ""), other = *tls_context(file, second.path(), "");
        EXPECT_NE(one, other);
        EXPECT_EQ(SSL_CTX_get_cert_store(one.get()), SSL_CTX_get_cert_store(other.get()));
    }
}

}  // namespace
}  // namespace gorb::io::io_tls_context_test
