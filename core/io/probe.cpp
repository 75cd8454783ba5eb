#include "io/probe.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <deque>
#include <utility>
#include <vector>

#include "io/trouble.h"

namespace gorb::io {
namespace {

// A deadline so near is over before a third SYN would be sent, so the kernel need not plan for more.
constexpr uint64_t few_syns_ns = 3'000'000'000;

}  // namespace

class Probe {
  public:
    ProbePool::Impl* pool = nullptr;
    ProbeEvents* events = nullptr;  // nullptr: not in flight
    SocketPool::Socket socket;      // while it is
    TimerId timer = 0;              // the deadline, or what ends it in the next turn
    uint64_t turn = 0;              // in which it was begun
    int why = 0;                    // what `timer` will say
    uint16_t port = 0;              // of the peer
};

struct ProbePool::Impl {
    Impl(Loop& l, SocketPool& s) : loop(l), sockets(s) {}

    void rest(Probe& probe);
    void end(Probe& probe, int why);
    static void on_event(void* arg, uint32_t events);

    Loop& loop;
    SocketPool& sockets;
    std::deque<Probe> probes;
    std::vector<Probe*> free;
};

// Its check is over: the socket waits for the next one.
void ProbePool::Impl::rest(Probe& probe) {
    probe.events = nullptr;
    loop.cancel(std::exchange(probe.timer, 0));
    sockets.give(std::exchange(probe.socket, {}));
    free.push_back(&probe);
}

void ProbePool::Impl::end(Probe& probe, int why) {
    ProbeEvents& events = *probe.events;
    rest(probe);
    events.probed(why);
}

void ProbePool::Impl::on_event(void* arg, uint32_t got) {
    Probe& probe = *static_cast<Probe*>(arg);
    Impl& pool = *probe.pool;
    // Begun in this turn: epoll told of what was before.
    if (probe.turn == pool.loop.turn() || probe.why != 0) return;
    if (got & EPOLLERR) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(probe.socket.fd, SOL_SOCKET, SO_ERROR, &error, &size);
        // A reset after the peer has agreed, and not a refusal: it was open. Whether we look before or after
        // it must not decide (Conn tells the same).
        const bool stood = error == ECONNRESET || error == EPIPE;
        if (error != 0) return pool.end(probe, stood ? 0 : -told_later(error));
    }
    if (got & (EPOLLHUP | EPOLLERR)) return;  // an echo as well
    if (got & EPOLLOUT) pool.end(probe, met_itself(probe.socket.fd, probe.port) ? -ECONNREFUSED : 0);
}

ProbePool::ProbePool(Loop& loop, SocketPool& sockets) : impl_(std::make_unique<Impl>(loop, sockets)) {}

ProbePool::~ProbePool() {
    for (Probe& probe : impl_->probes) cancel(&probe);
}

base::Result<Probe*> ProbePool::start(const base::Endpoint& peer, const Way& way, uint64_t deadline,
                                      ProbeEvents& events, bool timer) {
    Impl& pool = *impl_;
    if (pool.free.empty()) {
        Probe& made = pool.probes.emplace_back();
        made.pool = &pool;
        pool.free.push_back(&made);
    }
    Probe* probe = pool.free.back();
    const bool few_syns = deadline != 0 && deadline <= pool.loop.now() + few_syns_ns;
    auto begun = pool.sockets.connect({peer.ip.af(), true, few_syns, way}, peer, &Impl::on_event, probe);
    if (!begun) return base::fail(std::move(begun.error()));
    pool.free.pop_back();
    probe->socket = begun->socket;
    probe->events = &events;
    probe->port = peer.port;
    probe->turn = pool.loop.turn();
    probe->why = begun->error == EINPROGRESS ? 0 : -begun->error;
    if (begun->error == EINPROGRESS) {
        if (deadline != 0 && timer) {
            probe->timer = pool.loop.at(deadline, [probe] {
                probe->timer = 0;
                probe->pool->end(*probe, -ETIMEDOUT);
            });
        }
    } else {
        // Decided already, and told in the next turn.
        probe->timer = pool.loop.at(0, [probe] {
            probe->timer = 0;
            probe->pool->end(*probe, std::exchange(probe->why, 0));
        });
    }
    return probe;
}

void ProbePool::cancel(Probe* probe) {
    if (!probe->events) return;
    probe->why = 0;
    impl_->rest(*probe);
}

}  // namespace gorb::io
