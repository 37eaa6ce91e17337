import Foundation
import JSON
import Ledger
import Logging
import Synchronization

/// Structured log lines, one JSON object each, written in the background so that no request waits for a log.
///
/// Lines wait in a bounded buffer for a few milliseconds at the most. Lines are dropped if whoever reads them falls so far
/// behind that the buffer fills, and if they cannot be written (a full disk, a closed pipe); once lines can be written
/// again, one says how many were lost.
public final class LineLog: Sendable {
  private struct State {
    var buffer: [UInt8] = []
    var dropped = 0
    var isClosed = false
  }

  /// How long what waits may take to be written at the end: a reader that has stopped must not keep a server from stopping.
  private static let closingTime = DispatchTimeInterval.seconds(2)

  private let descriptor: Int32
  private let capacity: Int
  private let state = Mutex(State())
  private let wake = DispatchSemaphore(value: 0)
  private let done = DispatchSemaphore(value: 0)
  /// The current second and its text.
  private let second = Mutex((number: time_t(0), text: [UInt8]()))

  /// - Parameters:
  ///   - descriptor: where lines go; standard error unless told otherwise.
  ///   - capacity: the most bytes that wait to be written.
  public init(descriptor: Int32 = 2, capacity: Int = 1 << 20) {
    self.descriptor = descriptor
    self.capacity = capacity
    Thread.start("log-lines") { [self] in writeUntilClosed() }
  }

  /// Appends one line. `fields` appends JSON members, each with a comma before it.
  public func line(_ level: Logger.Level, _ message: String, _ fields: (inout [UInt8]) -> Void = { _ in }) {
    let line = text(level, message, fields)
    let isFirst = state.withLock { state in
      guard state.buffer.count + line.count <= capacity else {
        state.dropped += 1
        return false
      }
      let isFirst = state.buffer.isEmpty
      state.buffer.append(contentsOf: line)
      return isFirst
    }
    if isFirst { wake.signal() }
  }

  /// Writes what waits, and returns when it is written, or after ``closingTime`` if nobody reads it. Lines that come later
  /// are dropped.
  public func close() {
    state.withLock { $0.isClosed = true }
    wake.signal()
    _ = done.wait(timeout: .now() + Self.closingTime)
  }

  private func writeUntilClosed() {
    var lost = 0
    var isWithinLine = false
    while true {
      wake.wait()
      // Let a few lines gather: one write for many requests.
      Thread.sleep(forTimeInterval: 0.005)
      let (bytes, dropped, isClosed) = state.withLock { state in
        defer {
          state.buffer = []
          state.dropped = 0
        }
        return (state.buffer, state.dropped, state.isClosed)
      }
      lost += dropped
      let start = isWithinLine ? 1 : 0
      let batch = isWithinLine ? [UInt8(ascii: "\n")] + bytes : bytes
      let written = Descriptor.write(batch, to: descriptor).written
      if written > 0 { isWithinLine = batch[written - 1] != UInt8(ascii: "\n") }
      lost += batch[max(written, start)...].count { $0 == UInt8(ascii: "\n") }
      if lost > 0, written == batch.count {
        let notice = text(.warning, "log lines were dropped") { $0.append(field: "dropped", integer: lost) }
        if Descriptor.write(notice, to: descriptor).error == 0 { lost = 0 }
      }
      if isClosed {
        done.signal()
        return
      }
    }
  }

  private func text(_ level: Logger.Level, _ message: String, _ fields: (inout [UInt8]) -> Void) -> [UInt8] {
    var line: [UInt8] = []
    line.reserveCapacity(320)
    line.append(json: "{\"time\":\"")
    appendTimestamp(to: &line)
    line.append(json: "\",\"level\":\"")
    line.append(text: level.rawValue)
    line.append(json: "\",\"message\":")
    line.append(jsonString: message)
    fields(&line)
    line.append(json: "}\n")
    return line
  }

  /// Appends the time, `2026-11-21T20:06:00.123Z`. All but its last digits is the same for a second's worth of lines.
  private func appendTimestamp(to line: inout [UInt8]) {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let prefix = second.withLock { second in
      if second.number != now.tv_sec { second = (now.tv_sec, Self.text(of: now.tv_sec)) }
      return second.text
    }
    line.append(contentsOf: prefix)
    let milliseconds = now.tv_nsec / 1_000_000
    for digit in [milliseconds / 100, milliseconds / 10 % 10, milliseconds % 10] {
      line.append(UInt8(ascii: "0") + UInt8(digit))
    }
    line.append(UInt8(ascii: "Z"))
  }

  private static func text(of second: time_t) -> [UInt8] {
    var second = second
    var parts = tm()
    gmtime_r(&second, &parts)
    var text = [CChar](repeating: 0, count: 32)
    let length = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%S.", &parts)
    return text[..<length].map(UInt8.init(bitPattern:))
  }
}

extension [UInt8] {
  mutating func append(field name: StaticString, integer: some FixedWidthInteger) {
    append(json: ",\"")
    append(json: name)
    append(json: "\":")
    append(integer: integer)
  }

  mutating func append(field name: StaticString, string: String) {
    append(json: ",\"")
    append(json: name)
    append(json: "\":")
    append(jsonString: string)
  }
}

/// Sends what libraries log to the same lines.
public struct LineLogHandler: LogHandler {
  public var metadata: Logger.Metadata = [:]
  public var logLevel: Logger.Level
  private let log: LineLog
  private let label: String

  public init(label: String, level: Logger.Level, log: LineLog) {
    self.label = label
    logLevel = level
    self.log = log
  }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) {
    var all = metadata.merging(event.metadata ?? [:]) { $1 }
    if let error = event.error { all["error"] = "\(error)" }
    log.line(event.level, event.message.description) { bytes in
      bytes.append(field: "logger", string: label)
      for (key, value) in all.sorted(by: { $0.key < $1.key }) {
        bytes.append(json: ",")
        bytes.append(jsonString: key)
        bytes.append(json: ":")
        bytes.append(jsonString: "\(value)")
      }
    }
  }
}
