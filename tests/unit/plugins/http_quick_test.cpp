// QuickReply against ReplyReader: what the short way takes, the long way takes as well and understands the
// same.
#include "quick.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "reply.h"

namespace {

using pulse_http::QuickReply;
using pulse_http::ReplyReader;

constexpr size_t limit = 64;

// Whether the short way took it; where it did, compares the two.
bool taken(const std::string& bytes) {
    const QuickReply quick = QuickReply::read(bytes, limit);
    if (quick.status == 0) return false;
    ReplyReader reader;
    reader.begin({.body_limit = limit});
    reader.feed(bytes);
    EXPECT_EQ(reader.state(), ReplyReader::State::done) << bytes << "\n" << reader.problem();
    EXPECT_EQ(reader.status(), quick.status) << bytes;
    EXPECT_EQ(reader.server_closes(), quick.closes) << bytes;
    EXPECT_EQ(reader.reusable(), !quick.closes && quick.size == bytes.size()) << bytes;
    return true;
}

const std::vector<std::string> ordinary = {
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n",
    "HTTP/1.1 206 \r\nconnection:Keep-Alive \r\nCONTENT-LENGTH:0\r\n\r\n",
    "HTTP/1.1 299 Fine by me\r\nServer: nginx/1.22.1\r\nDate: Tue, 24 Nov 2026 20:00:00 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 2\r\nX_Y!: a:b\r\n\r\nok",
};

TEST(HttpQuick, TakesOrdinaryReplies) {
    for (const std::string& reply : ordinary) EXPECT_TRUE(taken(reply)) << reply;
}

TEST(HttpQuick, TellsWhatFollowsAReplyFromItsBody) {
    const QuickReply quick = QuickReply::read(ordinary[0] + "more", limit);
    EXPECT_EQ(quick.size, ordinary[0].size());
    EXPECT_TRUE(taken(ordinary[0] + "more"));
}

TEST(HttpQuick, LeavesAReplyThatIsNotWholeYet) {
    for (const std::string& reply : ordinary) {
        for (size_t size = 0; size < reply.size(); ++size) EXPECT_FALSE(taken(reply.substr(0, size))) << size;
    }
}

TEST(HttpQuick, LeavesWhatIsNotOrdinary) {
    for (const char* reply : {
             "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
             "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
             "HTTP/1.1 204 OK\r\nContent-Length: 0\r\n\r\n",
             "HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
             "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
             "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
             "HTTP/1.1 200 OK\r\n\r\n",
             "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
             "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n",
             "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
             "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 0\r\n\r\n",
             "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
             "HTTP/1.1 200 OK\r\nContent-Length: +0\r\n\r\n",
             "HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n",
             "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close, upgrade\r\n\r\n",
             "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
             "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nProxy-Connection: close\r\n\r\n",
             "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nUpgrade: h2c\r\n\r\n",
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
             "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: \x01\r\n\r\n",
             "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n: x\r\n\r\n",
         })
        EXPECT_EQ(QuickReply::read(reply, limit).status, 0) << reply;
    const std::string body(limit + 1, 'x');
    EXPECT_EQ(QuickReply::read("HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n" + body, limit).status, 0);
}

TEST(HttpQuick, UnderstandsBrokenRepliesAsTheReaderDoesOrNotAtAll) {
    std::mt19937 random(7);
    using namespace std::string_literals;
    const std::string bytes = "\r\n :\t,;0123456789abcHTP/.\x7f\x80\0-"s;
    size_t taken_ones = 0;
    for (int i = 0; i < 40000; ++i) {
        std::string reply = ordinary[random() % ordinary.size()];
        for (size_t n = 1 + random() % 3; n > 0; --n) {
            const size_t at = random() % reply.size();
            const char c = bytes[random() % bytes.size()];
            switch (random() % 3) {
                case 0:
                    reply[at] = c;
                    break;
                case 1:
                    reply.insert(at, 1, c);
                    break;
                default:
                    reply.erase(at, 1);
            }
        }
        taken_ones += taken(reply);
        if (HasFailure()) break;
    }
    EXPECT_GT(taken_ones, 1000U) << "most of what is changed is a name or a value that means nothing";
}

}  // namespace
