import CJemalloc

/// How the process gets its memory: from jemalloc, which stands in the place of the C library's allocator as soon as it is
/// linked. What one thread takes another frees here, requests and responses, and jemalloc's threads do not wait for each
/// other over that.
enum Allocator {
  /// For how long the process keeps what it has freed, in milliseconds.
  private static let decay = 1000

  /// Has freed memory, a list's page or an outcome of some megabytes, go back to the system soon, by a thread that sees to
  /// it also when the server is idle. A jemalloc that has no such thread goes on as it is. See jemalloc(3).
  static func returnFreeMemory() {
    set("background_thread", true)
    set("arenas.dirty_decay_ms", decay)  // of arenas to come
    set("arena.\(MALLCTL_ARENAS_ALL).dirty_decay_ms", decay)
  }

  private static func set<Value: BitwiseCopyable>(_ name: String, _ value: Value) {
    var value = value
    _ = mallctl(name, nil, nil, &value, MemoryLayout.size(ofValue: value))
  }
}
