import Foundation

/// Writing to a file descriptor.
package enum Descriptor {
  /// Writes all of `bytes`, however many calls that takes.
  ///
  /// - Returns: how many were written, and, if those are not all, why not: an `errno`.
  package static func write(_ bytes: some Sequence<UInt8>, to descriptor: Int32) -> (written: Int, error: Int32) {
    let bytes = Array(bytes)
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes {
        Foundation.write(descriptor, $0.baseAddress.map { $0 + written }, bytes.count - written)
      }
      if count > 0 {
        written += count
        continue
      }
      switch errno {
      case EINTR: continue
      case EAGAIN:  // A terminal or pipe that another program, which shares it, does not want to wait for.
        var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&ready, 1, -1)
      default: return (written, errno)
      }
    }
    return (written, 0)
  }
}
