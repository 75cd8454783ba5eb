// recvmsg() of this executable, which libnl calls too, fails as a test wants it.
#pragma once

namespace gorb::ipvs {

// Of what this thread receives `after` messages come, then `times` fail with ENOBUFS and leave in the socket
// what there was.
void fail_receiving(int after, int times);
// How many of these have not failed yet.
int failures_left();

}  // namespace gorb::ipvs
