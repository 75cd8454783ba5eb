// RequestReader: which bytes are a request, and which are refused with what status.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "rest/conn_reader.h"

namespace gorb::rest::server_reader_test {
namespace {

using Step = RequestReader::Step;

// Everything that comes out of `bytes` when it arrives in pieces of `piece` bytes (0: at once).
std::vector<std::string> read_all(std::string_view bytes, size_t piece, const Limits& limits = {}) {
    RequestReader reader(limits);
    std::vector<std::string> out;
    while (!bytes.empty()) {
        std::string_view part = bytes.substr(0, piece == 0 ? bytes.size() : piece);
        bytes.remove_prefix(part.size());
        while (!part.empty()) {
            const Step step = reader.take(part);
            if (step == Step::proceed) out.emplace_back("100");
            if (step == Step::refused) {
                out.push_back(std::to_string(reader.status()));
                return out;
            }
            if (step == Step::whole) {
                const auto r = reader.request();
                out.push_back(r->method + ' ' + r->path + '?' + r->query + " match=" + r->if_match +
                              " type=" + r->content_type +
                              (r->origin.empty() ? "" : " of page " + r->origin) + " body=" + r->body +
                              (reader.keep_alive() ? " keep" : " close"));
            }
        }
    }
    if (reader.started()) out.emplace_back("unfinished");
    return out;
}

// The one outcome, which must not depend on how the bytes were cut.
std::string read_one(std::string_view bytes, const Limits& limits = {}) {
    const auto whole = read_all(bytes, 0, limits);
    for (const size_t piece : {1, 2, 3, 7, 64})
        EXPECT_EQ(read_all(bytes, piece, limits), whole) << "pieces of " << piece;
    return whole.size() == 1 ? whole[0] : std::to_string(whole.size()) + " outcomes";
}

std::string with(std::string_view headers, std::string_view body = "") {
    return "PUT /a HTTP/1.1\r\nHost: x\r\n" + std::string(headers) + "\r\n" + std::string(body);
}

// Who sends one means a condition: without it a DELETE would be done whatever has become of the object.
TEST(Reader, AnIfMatchThatIsEmptyIsNotOneThatIsAbsent) {
    EXPECT_EQ(read_one(with("If-Match:\r\n")), "400");
    EXPECT_EQ(read_one(with("If-Match: \t\r\nIf-Match:\r\n")), "400");
    EXPECT_EQ(read_one(with("If-Match:\r\nIf-Match: *\r\n")), "PUT /a? match=* type= body= keep");
}

TEST(Reader, GivesWhatTheHandlerNeeds) {
    EXPECT_EQ(
        read_one("PATCH /service/a%20b?x=1&y HTTP/1.1\r\nhost: x\r\nIf-Match: \"1\"\r\nif-match: \"2\"\r\n"
                 "Content-Type:application/json \r\nContent-Length: 4\r\n\r\n{}\r\n"),
        "PATCH /service/a%20b?x=1&y match=\"1\", \"2\" type=application/json body={}\r\n keep");
    EXPECT_EQ(read_one("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "GET /? match= type= body= keep");
}

TEST(Reader, KnowsARequestOfAWebPageByItsOrigin) {
    Limits limits;
    limits.web_origins = {"https://ops.example"};
    EXPECT_EQ(read_one(with("Origin: https://ops.example\r\n"), limits),
              "PUT /a? match= type= of page https://ops.example body= keep");
    EXPECT_EQ(read_one(with("Origin: null\r\n"), limits), "403");
    EXPECT_EQ(read_one("GET /a HTTP/1.1\r\nHost: x\r\nOrigin: null\r\n\r\n", limits),
              "GET /a? match= type= of page null body= keep");
}

TEST(Reader, HandsHeadOnAsGet) {
    Limits limits;
    RequestReader reader(limits);
    std::string_view in = "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n";
    ASSERT_EQ(reader.take(in), Step::whole);
    EXPECT_TRUE(reader.head_only());
    EXPECT_EQ(reader.request()->method, "GET");
}

TEST(Reader, UnderstandsTheFormsOfATarget) {
    EXPECT_EQ(read_one("GET http://gorb.example:80/a?b HTTP/1.1\r\nHost: x\r\n\r\n"),
              "GET /a?b match= type= body= keep");
    EXPECT_EQ(read_one("GET http://gorb.example HTTP/1.1\r\nHost: x\r\n\r\n"),
              "GET /? match= type= body= keep");
    EXPECT_EQ(read_one("GET http://gorb.example?b HTTP/1.1\r\nHost: x\r\n\r\n"),
              "GET /?b match= type= body= keep");
    EXPECT_EQ(read_one("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), "OPTIONS *? match= type= body= keep");
    EXPECT_EQ(read_one("GET a HTTP/1.1\r\nHost: x\r\n\r\n"), "400");
    EXPECT_EQ(read_one("CONNECT a:80 HTTP/1.1\r\nHost: x\r\n\r\n"), "400");
}

TEST(Reader, JoinsChunksAndIgnoresTrailers) {
    EXPECT_EQ(
        read_one(with(
            "Transfer-Encoding: chunked\r\n",
            "3\r\nabc\r\nA;ext=\"1\"\r\n0123456789\r\n0\r\nContent-Type: late\r\nIf-Match: late\r\n\r\n")),
        "PUT /a? match= type= body=abc0123456789 keep");
    EXPECT_EQ(read_one(with("Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n")),
              "PUT /a? match= type= body= keep");
}

TEST(Reader, TakesPipelinedRequestsOneByOne) {
    const std::string one = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n", two = with("Content-Length: 2\r\n", "hi");
    const std::vector<std::string> expected = {"GET /1? match= type= body= keep",
                                               "PUT /a? match= type= body=hi keep",
                                               "GET /1? match= type= body= keep"};
    const std::string all = one + two + one;
    for (const size_t piece : {0, 1, 5, 50}) EXPECT_EQ(read_all(all, piece), expected);
}

TEST(Reader, IgnoresEmptyLinesBetweenRequests) {
    const std::string one = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n";
    const std::string all = "\r\n\r\n" + one + "\r\n" + one + "\r\n";
    for (const size_t piece : {0, 1, 2, 3}) {
        EXPECT_EQ(read_all(all, piece).size(), 2U) << piece;
    }
}

TEST(Reader, KeepsTheConnectionAsTheClientAsks) {
    EXPECT_EQ(read_one("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              "GET /? match= type= body= close");
    EXPECT_EQ(read_one("GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n"),
              "GET /? match= type= body= close");
    EXPECT_EQ(read_one("GET / HTTP/1.0\r\n\r\n"), "GET /? match= type= body= close");
    EXPECT_EQ(read_one("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), "GET /? match= type= body= keep");
}

TEST(Reader, SaysWhenTheClientWaitsToSendItsBody) {
    const std::string head = with("Content-Length: 2\r\nExpect: 100-Continue\r\n");
    for (const size_t piece : {0, 1, 9}) {
        EXPECT_EQ(read_all(head + "hi", piece),
                  (std::vector<std::string>{"100", "PUT /a? match= type= body=hi keep"}));
    }
    EXPECT_EQ(read_all(head, 0), (std::vector<std::string>{"100", "unfinished"}));
    EXPECT_EQ(read_one(with("Content-Length: 0\r\nExpect: 100-continue\r\n")),
              "PUT /a? match= type= body= keep");
    EXPECT_EQ(read_one(with("Expect: 200-ok\r\n")), "417");
    EXPECT_EQ(read_one("PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx"),
              "PUT /? match= type= body=x close");
}

TEST(Reader, RefusesBodiesOverTheLimitWithoutReadingThem) {
    Limits limits;
    limits.body_bytes = 10;
    EXPECT_EQ(read_one(with("Content-Length: 10\r\n", "0123456789"), limits),
              "PUT /a? match= type= body=0123456789 keep");
    EXPECT_EQ(read_one(with("Content-Length: 11\r\n"), limits), "413");
    EXPECT_EQ(read_one(with("Content-Length: 11\r\nExpect: 100-continue\r\n"), limits), "413");
    EXPECT_EQ(read_one(with("Transfer-Encoding: chunked\r\n", "a\r\n0123456789\r\n0\r\n\r\n"), limits),
              "PUT /a? match= type= body=0123456789 keep");
    EXPECT_EQ(
        read_one(with("Transfer-Encoding: chunked\r\n", "6\r\n012345\r\n5\r\n01234\r\n0\r\n\r\n"), limits),
        "413");
    EXPECT_EQ(read_one(with("Transfer-Encoding: chunked\r\n", "fffffffffffffff\r\n01234567"), limits), "413");
}

TEST(Reader, RefusesChunkedCodingThatIsMostlyCoding) {
    Limits limits;
    limits.body_bytes = 100;
    limits.header_bytes = 200;
    const std::string head = with("Transfer-Encoding: chunked\r\n");
    const auto extended = [](size_t size) {
        return "1;" + std::string(size - 4, 'e') + "\r\nx\r\n0\r\n\r\n";
    };
    EXPECT_EQ(read_one(head + extended(200), limits), "PUT /a? match= type= body=x keep");
    EXPECT_EQ(read_one(head + extended(201), limits), "413");
    std::string trailers = "0\r\n";
    for (int i = 0; i < 40; ++i) trailers += "Trailer: abc\r\n";
    EXPECT_EQ(read_one(head + trailers + "\r\n", limits), "413");
    std::string chunks;
    for (int i = 0; i < 40; ++i) chunks += "1;abc\r\nx\r\n";
    EXPECT_EQ(read_one(head + chunks + "0\r\n\r\n", limits), "413");
}

TEST(Reader, RefusesHeadsAndLinesOverTheLimit) {
    Limits limits;
    limits.header_bytes = 300;
    limits.line_bytes = 100;
    const auto line = [](size_t length) { return "GET /" + std::string(length - 14, 'a') + " HTTP/1.1\r\n"; };
    EXPECT_EQ(read_all(line(100) + "Host: x\r\n\r\n", 0, limits).at(0).substr(0, 6), "GET /a");
    EXPECT_EQ(read_one(line(100) + "Host: x\r\n\r\n", limits).substr(0, 6), "GET /a");
    EXPECT_EQ(read_one(line(101) + "Host: x\r\n\r\n", limits), "414");
    EXPECT_EQ(read_one(line(101), limits), "414");
    EXPECT_EQ(read_one(std::string(1000, 'a'), limits), "414");
    const auto head = [&](size_t size) {
        const std::string begin = "GET / HTTP/1.1\r\nHost: x\r\nA: ";
        return begin + std::string(size - begin.size() - 4, 'a') + "\r\n\r\n";
    };
    EXPECT_EQ(read_one(head(300), limits), "GET /? match= type= body= keep");
    EXPECT_EQ(read_one(head(301), limits), "431");
    EXPECT_EQ(read_one(head(1000), limits), "431");
    EXPECT_EQ(read_one(head(1000).substr(0, 500), limits), "431");
}

TEST(Reader, RefusesWhatIsNotHttp) {
    for (const std::string_view bytes :
         {"\x16\x03\x01\x02\x01\n", "GET / HTTP/1.1\nHost: x\n\n", "GET /\r\n\r\n",
          "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "G@T / HTTP/1.1\r\nHost: x\r\n\r\n",
          "GET / a HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
          "GET / FOO/1.1\r\nHost: x\r\n\r\n", " GET / HTTP/1.1\r\nHost: x\r\n\r\n",
          "GET / HTTP/1.1\r\nHost\r\n\r\n", "GET / HTTP/1.1\r\n: x\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc: d\r\n\r\n",
          "GET / HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n"}) {
        EXPECT_EQ(read_one(bytes), "400") << bytes;
    }
    using namespace std::string_view_literals;
    EXPECT_EQ(read_one("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n"sv), "400");
}

TEST(Reader, RefusesTlsAtItsFirstByteAndDoesNotWaitForALine) {
    EXPECT_EQ(read_one("\x16"), "400");
    EXPECT_EQ(read_all("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n\x16\x03", 0),
              (std::vector<std::string>{"GET /1? match= type= body= keep", "400"}));
}

TEST(Reader, RefusesOtherVersions) {
    for (const std::string_view version : {"HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3.0"}) {
        EXPECT_EQ(read_one("GET / " + std::string(version) + "\r\nHost: x\r\n\r\n"), "505") << version;
    }
    EXPECT_EQ(read_one("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "505");
}

TEST(Reader, WantsOneHost) {
    EXPECT_EQ(read_one("GET / HTTP/1.1\r\n\r\n"), "400");
    EXPECT_EQ(read_one("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), "400");
}

// What one party reads as one request and the next as two (RFC 9112, 11.2).
TEST(Reader, RefusesWhatCouldSmuggleARequest) {
    const std::string chunks = "0\r\n\r\n";
    for (const std::string_view headers :
         {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
          "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "Content-Length: 5\r\nContent-Length: 6\r\n",
          "Content-Length: 5, 6\r\n", "Content-Length : 5\r\n", "Transfer-Encoding : chunked\r\n",
          "Content-Length: +5\r\n", "Content-Length: -5\r\n", "Content-Length: 0x5\r\n",
          "Content-Length: 5 5\r\n", "Content-Length:\r\n", "Content-Length: 99999999999999999999\r\n",
          "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding\t: chunked\r\n",
          "Content-Length: 5\r\n\tTransfer-Encoding: chunked\r\n"}) {
        EXPECT_EQ(read_one(with(headers, chunks)), "400") << headers;
    }
    for (const std::string_view headers :
         {"Transfer-Encoding: gzip\r\n", "Transfer-Encoding: identity\r\n",
          "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: chunked, chunked\r\n",
          "Transfer-Encoding: xchunked\r\n", "Transfer-Encoding:\r\n", "Transfer-Encoding: \"chunked\"\r\n",
          "Transfer-Encoding: chunked;q=1\r\n"}) {
        EXPECT_EQ(read_one(with(headers, chunks)), "501") << headers;
    }
    EXPECT_EQ(read_one("PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks), "400");
    EXPECT_EQ(read_one(with("Content-Length: 5\r\nContent-Length: 5\r\n", "12345")),
              "PUT /a? match= type= body=12345 keep");
}

TEST(Reader, RefusesBadChunks) {
    for (const std::string_view body :
         {"zz\r\nabc", "-1\r\nabcd", "3\r\nabcd\r\n0\r\n\r\n", "10000000000000000\r\nabc", "\r\n0\r\n\r\n",
          "0x1\r\n\r\n", "1 1\r\nabcd", "3\nabc\n0\n\n", "3\nabc\r\n0\r\n\r\n", "3;e=\"a\r\nb\"\r\n"}) {
        EXPECT_EQ(read_one(with("Transfer-Encoding: chunked\r\n", body)), "400") << body;
    }
}

// Mutations of good requests, cut anywhere: the same requests come out, or the same refusal.
TEST(Reader, ReadsTheSameHoweverTheBytesAreCut) {
    std::mt19937 random(20240501);
    const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
    const std::vector<std::string> seeds = {
        "GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n", with("Content-Length: 12\r\nIf-Match: *\r\n", "hello, world"),
        with("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\nA;e=1\r\n0123456789\r\n0\r\nT: x\r\n\r\n"),
        with("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "\r\n"};
    const std::string_view spice = "\r\n: ;,0aZ\t\x00\xff";
    Limits limits;
    limits.header_bytes = 150;
    limits.line_bytes = 60;
    limits.body_bytes = 40;
    for (int round = 0; round < 3000; ++round) {
        std::string bytes;
        for (size_t i = below(5) + 1; i > 0; --i) bytes += seeds[below(seeds.size())];
        for (size_t i = below(4); i > 0; --i) {
            const size_t at = below(bytes.size());
            switch (below(3)) {
                case 0:
                    bytes[at] = spice[below(spice.size())];
                    break;
                case 1:
                    bytes.insert(at, 1 + below(80), spice[below(spice.size())]);
                    break;
                default:
                    bytes.erase(at, 1 + below(10));
                    break;
            }
            if (bytes.empty()) bytes = "\r";
        }
        const auto whole = read_all(bytes, 0, limits);
        for (const size_t piece : {size_t{1}, 2 + below(20)}) {
            ASSERT_EQ(read_all(bytes, piece, limits), whole)
                << "round " << round << ", pieces of " << piece << ":\n"
                << bytes;
        }
    }
}

}  // namespace
}  // namespace gorb::rest::server_reader_test
