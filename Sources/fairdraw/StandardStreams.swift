import API
import Foundation

/// Standard input, output and error: made safe to use at the start, and written so that no failure goes unseen.
enum StandardStreams {
  /// Must run before anything opens a file or writes to a pipe.
  ///
  /// A file that is opened takes the lowest free number: with standard error closed, the database could become number 2
  /// and the log be written into it. So each stream that is closed gets `/dev/null`, opened the wrong way round: reading
  /// or writing it still fails, as it did before.
  static func prepare() {
    for (descriptor, access) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_RDONLY)]
    where fcntl(descriptor, F_GETFD) == -1 { _ = open("/dev/null", access) }
    // Writing to a pipe that nobody reads, or beyond a limit on a file's size, then fails and does not kill.
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
  }
}

/// What commands print on standard output: all of it is written, or the command fails.
enum StandardOutput {
  static func print(_ line: String) throws(CommandFailure) { try write((line + "\n").utf8) }

  static func write(_ bytes: some Sequence<UInt8>) throws(CommandFailure) {
    guard try writeIfRead(bytes) else { throw failure(EPIPE) }
  }

  /// - Returns: whether the bytes were written; false if the reader of the pipe has closed it.
  static func writeIfRead(_ bytes: some Sequence<UInt8>) throws(CommandFailure) -> Bool {
    let error = Descriptor.write(bytes, to: STDOUT_FILENO).error
    guard error == 0 || error == EPIPE else { throw failure(error) }
    return error == 0
  }

  /// Whether somebody may read what is written: not if the reader of the pipe has closed it.
  static var isOpen: Bool {
    var state = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
    return poll(&state, 1, 0) <= 0 || Int32(state.revents) & Int32(POLLERR | POLLHUP) == 0
  }

  private static func failure(_ error: Int32) -> CommandFailure {
    CommandFailure("standard output cannot be written: \(String(cString: strerror(error)))")
  }

  /// Prints a secret, and then does what makes it valid. So a secret that could not be shown never exists.
  ///
  /// - Throws: ``CommandFailure`` if it cannot be printed; what `make` throws, after saying that the secret is of no use.
  static func show<Result>(_ secret: String, _ make: () async throws -> Result) async throws -> Result {
    try print(secret)
    do {
      return try await make()
    } catch {
      Swift.print("fairdraw: what was just printed was not put to use and is worthless", to: &Terminal.error)
      throw error
    }
  }
}
