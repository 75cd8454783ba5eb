// An HTTP server of one test that keeps its connections, one after the other, and does with each request what
// the test says.
#pragma once
#include <utility>
#include <vector>

#include "server.h"

namespace plugin_test {

class KeepServer {
  public:
    struct Act {
        std::string reply;   // "": none
        bool close = false;  // the connection, afterwards
        bool reset = false;  // with RST
        bool hold = false;   // nothing more is read; the connection stays until its other side ends it
    };
    // Which connection, which request on it (both from 0), and the request.
    using Answer = std::function<Act(size_t connection, size_t request, const std::string& text)>;
    struct Seen {
        size_t connection, request;
        std::string text;
    };

    explicit KeepServer(Answer answer)
        : answer_(std::move(answer)), server_([this](Peer& peer) { serve(peer); }) {}
    uint16_t port() const { return server_.port(); }
    std::vector<Seen> seen() const {
        std::lock_guard<std::mutex> lock(mutex_);
        return seen_;
    }
    size_t connections() const { return connections_; }
    // How connection number `which` ended: 0 for a finished stream, an errno; -1 while it has not.
    int end_of(size_t which) const {
        std::lock_guard<std::mutex> lock(mutex_);
        return which < ends_.size() ? ends_[which] : -1;
    }

    static Act ok(const std::string& body = "ok", const std::string& headers = "") {
        return {"HTTP/1.1 200 OK\r\n" + headers + "Content-Length: " + std::to_string(body.size()) +
                "\r\n\r\n" + body};
    }
    static Act raw(std::string reply) { return {std::move(reply)}; }
    static Act closing(Act act) {
        act.close = true;
        return act;
    }

  private:
    void serve(Peer& peer) {
        const size_t connection = connections_++;
        for (size_t request = 0;; ++request) {
            const std::string text = peer.read_until("\r\n\r\n");
            if (text.find("\r\n\r\n") == std::string::npos) return ended(connection, peer.wait_for_end());
            {
                std::lock_guard<std::mutex> lock(mutex_);
                seen_.push_back({connection, request, text});
            }
            const Act act = answer_(connection, request, text);
            peer.write(act.reply);
            if (act.reset) peer.reset();
            if (act.close || act.reset) return;
            if (act.hold) return ended(connection, peer.wait_for_end());
        }
    }
    void ended(size_t connection, int how) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (ends_.size() <= connection) ends_.resize(connection + 1, -1);
        ends_[connection] = how;
    }

    const Answer answer_;
    mutable std::mutex mutex_;
    std::vector<Seen> seen_;
    std::vector<int> ends_;
    std::atomic<size_t> connections_{0};
    Server server_;  // the last: its thread uses the others
};

}  // namespace plugin_test
