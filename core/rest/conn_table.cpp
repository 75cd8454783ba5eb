#include "rest/conn_table.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>

#include "base/check.h"
#include "base/duration.h"
#include "base/log.h"
#include "rest/error.h"

namespace gorb::rest {
namespace {

constexpr size_t scratch_bytes = 64 << 10;
// How many may linger; when there are more, the oldest has had its time.
constexpr size_t max_lingering = 256;
// How many of the longest idle are looked at for one that has nothing unread.
constexpr int idle_candidates = 16;

}  // namespace

struct ConnTable::Conn final : SessionHost {
    Conn(ConnTable& owner, int descriptor, std::string peer)
        : table(owner),
          fd(descriptor),
          wire(std::make_shared<Wire>(descriptor)),
          session(owner.limits_, std::move(peer), *this) {}
    void dispatch(std::shared_ptr<const Request> whole) override { table.dispatch(*this, whole); }

    ConnTable& table;
    const int fd;
    const std::shared_ptr<Wire> wire;
    Session session;
    uint64_t serial = 0;  // of the request with the handler
    Line line = lines;    // none yet
    Queue::iterator place;
    uint64_t since = 0;    // when it came to stand there
    uint64_t epoch = 0;    // a new one there means a new deadline
    uint64_t flushes = 0;  // times that all output was taken
    uint64_t taken = 0;    // bytes of it
    size_t held = 0;       // of ConnTable::held_
    uint32_t watched = 0;
    size_t drained = 0;
    bool eof = false;
    // For the debug log; kept only while that is wanted.
    std::shared_ptr<const Request> request;
};

ConnTable::ConnTable(io::Loop& loop, Limits limits, Handler handler)
    : loop_(loop),
      limits_(std::move(limits)),
      handler_(std::move(handler)),
      mailbox_(std::make_shared<Mailbox>(loop, static_cast<AnswerTaker&>(*this))),
      scratch_(scratch_bytes) {}

ConnTable::~ConnTable() {
    close_all();
}

void ConnTable::add(int fd, std::string peer) {
    const bool crowded = size() - queues_[lingering].size() >= limits_.connections && !make_room();
    const auto index = static_cast<size_t>(fd);
    if (index >= conns_.size()) conns_.resize(std::max(index + 1, conns_.size() * 2));
    GORB_CHECK(!conns_[index]);
    conns_[index] = std::make_unique<Conn>(*this, fd, std::move(peer));
    size_.fetch_add(1, std::memory_order_relaxed);
    Conn& conn = *conns_[index];
    place(conn, idle, 0);
    if (crowded || finishing_) {
        conn.session.refuse(503, crowded ? "too many connections are open" : "the daemon is stopping", 1);
    }
    settle(conn);
}

bool ConnTable::make_room() {
    int left = idle_candidates;
    for (Conn* conn : queues_[idle]) {
        // Whose request has come but was not yet read is not idle.
        int unread = 0;
        if (ioctl(conn->fd, FIONREAD, &unread) == 0 && unread > 0) {
            if (--left == 0) break;
            continue;
        }
        base::log_debug("idle connection closed to make room", {{"peer", conn->session.peer()}});
        close(*conn);
        return true;
    }
    if (queues_[abandoned].empty()) return false;
    Conn& conn = *queues_[abandoned].front();
    base::log_debug("connection closed to make room: its client sends no more, and the answer does not come",
                    {{"peer", conn.session.peer()}});
    close(conn);
    return true;
}

void ConnTable::on_events(Conn& conn, uint32_t events) {
    if (conn.line == lingering) {
        drain(conn);
    } else if (events & io::readable) {
        on_readable(conn);
    } else {
        settle(conn);
    }
}

void ConnTable::on_readable(Conn& conn) {
    const ssize_t size = recv(conn.fd, scratch_.data(), scratch_.size(), 0);
    if (size > 0) {
        conn.session.feed({scratch_.data(), static_cast<size_t>(size)});
    } else if (size == 0) {
        conn.eof = true;
        conn.session.eof();
    } else if (errno != EAGAIN && errno != EINTR) {
        close(conn);
        return;
    }
    settle(conn);
    cut_off_slow();
}

// The client has its answer; what it still sends is not looked at.
void ConnTable::drain(Conn& conn) {
    const ssize_t size = recv(conn.fd, nullptr, size_t{1} << 20, MSG_TRUNC);  // TCP: dropped without a copy
    if (size > 0) conn.drained += static_cast<size_t>(size);
    const bool over = size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
    if (over || conn.drained > limits_.linger_bytes) close(conn);
}

// After anything that may have changed the connection: sends what there is, waits for what is next. It may be
// gone afterwards.
void ConnTable::settle(Conn& conn) {
    Session& session = conn.session;
    for (;;) {
        if (!flush(conn)) {
            close(conn);
            return;
        }
        if (!session.output().empty()) break;
        session.resume();
        if (session.output().empty()) break;
    }
    const size_t held = session.output().held();
    held_ += held - std::exchange(conn.held, held);
    const bool sending = held > 0;
    if (session.ended() && !sending) {
        end(conn);
        return;
    }
    const bool wants_more = !conn.eof && !session.full();
    if (!watch(conn, (wants_more ? uint32_t{io::readable} : 0U) | (sending ? uint32_t{io::writable} : 0U))) {
        turn_away(conn);
        return;
    }
    if (sending) {
        // A large answer has its time for each part of it.
        place(conn, writing, conn.flushes + conn.taken / std::max<size_t>(limits_.body_bytes, 1));
    } else if (session.waiting()) {
        place(conn, conn.eof ? abandoned : handling, session.requests());
    } else {
        // So has a large body.
        place(conn, session.reading() ? reading : idle, (session.requests() << 16) + session.progress());
    }
    cut_off_silent();
}

// Where more waits for clients than may, who has taken nothing for longest goes; but nobody goes behind the
// back of finish().
void ConnTable::cut_off_silent() {
    while (held_ > limits_.answer_bytes && queues_[writing].size() > 1 && !finishing_) {
        Conn& first = *queues_[writing].front();
        base::log_debug("connection closed to make room: its client does not take its answer",
                        {{"peer", first.session.peer()}});
        close(first);
    }
}

// Where more of bodies is kept than may, whose has not come for longest has to send it again.
void ConnTable::cut_off_slow() {
    while (limits_.bodies->bytes > limits_.all_body_bytes && !queues_[reading].empty()) {
        Conn& first = *queues_[reading].front();
        first.session.refuse(503, "too many bytes of requests are in memory at once; try again", 1);
        settle(first);
    }
}

// false: the connection is broken.
bool ConnTable::flush(Conn& conn) {
    Output& output = conn.session.output();
    while (!output.empty()) {
        const size_t offered = output.size();
        const ssize_t size = output.send(conn.fd);
        if (size < 0) return errno == EAGAIN || errno == EINTR;
        conn.taken += static_cast<uint64_t>(size);
        if (static_cast<size_t>(size) < offered) return true;  // the rest when there is room
        ++conn.flushes;
    }
    return true;
}

bool ConnTable::watch(Conn& conn, uint32_t events) {
    if (events == conn.watched) return true;
    conn.watched = events;
    const auto watched = loop_.watch(conn.fd, events, [this, &conn](uint32_t got) { on_events(conn, got); });
    if (!watched) base::log_error("cannot wait for a REST client", {{"error", watched.error().sentence}});
    return watched.has_value();
}

// Nothing would be heard of it any more: it is told so, as far as that goes at once.
void ConnTable::turn_away(Conn& conn) {
    if (!conn.session.waiting() && conn.session.output().empty()) {
        conn.session.refuse(503,
                            "the daemon can not wait for this connection now, for want of memory or beyond "
                            "fs.epoll.max_user_watches; try again",
                            1);
        flush(conn);
        shutdown(conn.fd, SHUT_WR);
        // What has come already would turn the close into a reset.
        [[maybe_unused]] const auto dropped = recv(conn.fd, nullptr, scratch_bytes, MSG_TRUNC | MSG_DONTWAIT);
    }
    close(conn);
}

void ConnTable::place(Conn& conn, Line line, uint64_t epoch) {
    if (conn.line == line && conn.epoch == epoch) return;
    Queue& to = queues_[line];
    if (conn.line == lines) {
        conn.place = to.insert(to.end(), &conn);
    } else {
        to.splice(to.end(), queues_[conn.line], conn.place);
    }
    conn.line = line;
    conn.epoch = epoch;
    conn.since = loop_.now();
    if (line != handling && line != abandoned)
        arm(conn.since + static_cast<uint64_t>(patience(line).count()));
}

// The conversation is over and the client has been sent everything.
void ConnTable::end(Conn& conn) {
    if (conn.session.unread() && !conn.eof && !finishing_) {
        linger(conn);
    } else {
        close(conn);
    }
}

void ConnTable::linger(Conn& conn) {
    if (conn.line == lingering) return;
    shutdown(conn.fd, SHUT_WR);
    if (!watch(conn, io::readable)) {
        close(conn);
        return;
    }
    if (queues_[lingering].size() >= max_lingering) close(*queues_[lingering].front());
    place(conn, lingering, 0);
}

void ConnTable::close(Conn& conn) {
    const auto own = std::move(conns_[static_cast<size_t>(conn.fd)]);
    held_ -= conn.held;
    queues_[conn.line].erase(conn.place);
    [[maybe_unused]] const auto forgotten = loop_.watch(conn.fd, 0, nullptr);
    conn.wire->shut();
    ::close(conn.fd);
    const bool last = size_.fetch_sub(1, std::memory_order_relaxed) == 1;
    if (last && finished_) std::exchange(finished_, nullptr)();
}

void ConnTable::dispatch(Conn& conn, const std::shared_ptr<const Request>& request) {
    conn.serial = ++last_serial_;
    if (base::log_wants(base::LogLevel::debug)) conn.request = request;
    loop_.set_activity("a REST request");
    try {
        const bool first = conn.session.output().empty() && !finishing_;
        handler_(request,
                 mailbox_->responder({conn.fd, conn.serial, conn.session.form(), first ? conn.wire : nullptr},
                                     request));
    } catch (const std::exception& e) {  // its responder has gone with it, which answers 500
        base::log_error("REST handler threw", {{"path", request->path}, {"what", e.what()}});
    }
    loop_.set_activity(nullptr);
}

void ConnTable::answered(const Ticket& ticket, Response response) {
    Conn* const conn = answering(ticket, response.status);
    if (!conn) return;
    const bool inline_answer = conn->session.running();  // who runs it settles it
    conn->session.answer(std::move(response));
    if (!inline_answer) settle(*conn);
}

void ConnTable::sent(const Ticket& ticket, int status, Output rest) {
    Conn* const conn = answering(ticket, status);
    if (!conn) return;
    conn->session.answered(std::move(rest));
    settle(*conn);
}

// Whose request has its answer now; nullptr: it has gone.
ConnTable::Conn* ConnTable::answering(const Ticket& ticket, int status) {
    const auto slot = static_cast<size_t>(ticket.slot);
    if (slot >= conns_.size() || !conns_[slot] || conns_[slot]->serial != ticket.serial) return nullptr;
    Conn& conn = *conns_[slot];
    conn.serial = 0;
    if (const auto request = std::exchange(conn.request, nullptr)) {
        base::log_debug("request", {{"peer", request->peer},
                                    {"method", request->method},
                                    {"path", request->path},
                                    {"status", std::to_string(status)}});
    }
    return &conn;
}

std::chrono::nanoseconds ConnTable::patience(Line line) const {
    switch (line) {
        case idle:
            return limits_.idle;
        case reading:
            return limits_.request;
        case writing:
            return limits_.write;
        default:
            return limits_.linger;
    }
}

void ConnTable::arm(uint64_t when) {
    if (timer_ != 0 && timer_when_ <= when) return;
    loop_.cancel(timer_);
    timer_when_ = when;
    timer_ = loop_.at(when, [this] { sweep(); });
}

void ConnTable::sweep() {
    timer_ = 0;
    const uint64_t now = loop_.now();
    for (const Line line : {idle, reading, writing, lingering}) {
        const auto allowed = static_cast<uint64_t>(patience(line).count());
        Queue& queue = queues_[line];
        while (!queue.empty() && queue.front()->since + allowed <= now) expire(*queue.front());
        if (!queue.empty()) arm(queue.front()->since + allowed);
    }
}

// Every way out of here takes the connection from the front of its line.
void ConnTable::expire(Conn& conn) {
    if (conn.line != reading) {
        if (conn.line == writing) {
            base::log_debug("client did not take its answer", {{"peer", conn.session.peer()}});
        }
        close(conn);
        return;
    }
    const std::string_view what = conn.session.progress() > 0 ? "a large body did not go on coming for "
                                                              : "the request did not come whole within ";
    conn.session.refuse(408, std::string(what) + base::duration_text(limits_.request));
    settle(conn);
}

void ConnTable::finish(std::chrono::milliseconds grace, std::function<void()> done) {
    finishing_ = true;
    finished_ = std::move(done);
    // What is answered from here on says that it is the last.
    for (const Queue& queue : queues_) {
        for (const Conn* conn : queue) conn->wire->shut();
    }
    for (const Line line : {idle, reading, handling, abandoned, writing, lingering}) {
        // settle() may close the connection or move it to another line.
        const std::vector<Conn*> waiting(queues_[line].begin(), queues_[line].end());
        for (Conn* conn : waiting) {
            conn->session.finish();
            if (line == lingering) {
                close(*conn);
            } else {
                settle(*conn);
            }
        }
    }
    if (size() == 0) {
        if (finished_) std::exchange(finished_, nullptr)();
        return;
    }
    loop_.at(loop_.now() + static_cast<uint64_t>(std::chrono::nanoseconds(grace).count()), [this] {
        give_up();
        if (finished_) std::exchange(finished_, nullptr)();
    });
}

// Nobody waits any longer for what has not been answered. It may be done all the same.
void ConnTable::give_up() {
    for (const Line line : {handling, abandoned}) {
        const std::vector<Conn*> waiting(queues_[line].begin(), queues_[line].end());
        for (Conn* conn : waiting) {
            conn->serial = 0;
            conn->session.answer(error_response(
                503,
                "the daemon is stopping, and what was asked for has not been done by now; what became of "
                "a change is to be seen after the next start"));
            settle(*conn);
        }
    }
}

void ConnTable::close_all() {
    mailbox_->close();
    finished_ = nullptr;
    for (Queue& queue : queues_) {
        while (!queue.empty()) close(*queue.front());
    }
    loop_.cancel(std::exchange(timer_, 0));
}

}  // namespace gorb::rest
