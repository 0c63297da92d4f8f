// The Node-API surface of peers: who is at the other end of a Unix socket, as the kernel knows it.

#include "addon_peers.h"

#include <sys/socket.h>

#include <cerrno>
#include <vector>

namespace abfs {

namespace {

// The supplementary groups of the process that connected. None when the kernel does not tell
// (before Linux 4.13).
std::vector<gid_t> PeerGroups(int socket) {
#ifdef SO_PEERGROUPS
  std::vector<gid_t> groups(32);
  while (true) {
    socklen_t bytes = groups.size() * sizeof(gid_t);
    if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes) == 0) {
      groups.resize(bytes / sizeof(gid_t));
      return groups;
    }
    // ERANGE comes with the size that is needed.
    if (errno != ERANGE || bytes <= groups.size() * sizeof(gid_t)) return {};
    groups.resize(bytes / sizeof(gid_t));
  }
#else
  static_cast<void>(socket);
  return {};
#endif
}

// (socket: fd): [pid, uid, gid, ...groups] at the time of connect(2), or -errno.
Napi::Value PeerCredentials(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsNumber()) {
    Napi::TypeError::New(env, "expected a descriptor").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const int socket = info[0].As<Napi::Number>();
  ucred peer{};
  socklen_t bytes = sizeof(peer);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) {
    return Napi::Number::New(env, -errno);
  }
  const std::vector<gid_t> groups = PeerGroups(socket);
  Napi::Array result = Napi::Array::New(env, 3 + groups.size());
  uint32_t at = 0;
  result[at++] = Napi::Number::New(env, peer.pid);
  result[at++] = Napi::Number::New(env, peer.uid);
  result[at++] = Napi::Number::New(env, peer.gid);
  for (const gid_t group : groups) result[at++] = Napi::Number::New(env, group);
  return result;
}

}  // namespace

void DefinePeers(Napi::Env env, Napi::Object exports) {
  exports.Set("peerCredentials", Napi::Function::New(env, PeerCredentials));
}

}  // namespace abfs
