import Fairness
import Ledger
import Logging
import Synchronization

/// Asks witnesses to cosign the log's newest checkpoint (<https://c2sp.org/tlog-witness>), and stores what they sign.
///
/// Each server that shares a database has one. Together they ask at most once in an interval, all witnesses side by side,
/// about one checkpoint. Nothing waits for a witness: one that has not answered when the next round begins is left out of
/// it.
public final class LogWitnesses: Sendable {
  /// What a witness answered.
  public struct Answer: Sendable {
    public let status: Int
    public let contentType: String?
    public let body: [UInt8]

    public init(status: Int, contentType: String?, body: [UInt8]) {
      self.status = status
      self.contentType = contentType
      self.body = body
    }
  }

  /// Posts a body to an address; throws if there is no answer in time, or more than ``longestAnswer``.
  public typealias Post = @Sendable (_ url: String, _ body: [UInt8], _ within: Duration) async throws -> Answer

  /// The most witnesses of a log.
  public static let most = 16
  /// The most bytes of an answer that are read.
  public static let longestAnswer = 16 << 10
  /// How long a witness has to answer, with the second request if the first one names the size to begin from.
  public static let timeout = Duration.seconds(5)
  /// How far a witness's clock may be from this server's, in seconds.
  static let clockSkew = 300
  /// How often it looks for a checkpoint to ask about.
  private static let pause = Duration.milliseconds(500)

  private let store: any LogStore
  private let identity: LogIdentity
  private let witnesses: [WitnessAddress]
  private let interval: Milliseconds
  private let post: Post
  private let now: @Sendable () -> Milliseconds
  private let onRollback: @Sendable (String) -> Void
  private let logger: Logger
  private let states: Mutex<[State]>

  private struct State {
    /// A request is under way.
    var isAsked = false
    /// How many entries the log had when the witness cosigned it last, as far as is known here.
    var size = 0
    /// How many it had when this server last received the witness's cosignature.
    var cosignedSize = 0
    var trouble: Trouble?
  }

  /// Why a witness does not cosign.
  enum Trouble: Error, Equatable {
    /// It does not answer, or not as it should.
    case unusable(String)
    /// It has seen entries that this log does not have: the log was set back, or has two histories.
    case otherHistory(String)
  }

  /// - Parameters:
  ///   - interval: at least so long from one round to the next.
  ///   - onRollback: called when a witness begins to say that it has seen another history of the log, with a sentence.
  package init(
    store: any LogStore, identity: LogIdentity, witnesses: [WitnessAddress], interval: Duration, logger: Logger,
    post: @escaping Post, now: @escaping @Sendable () -> Milliseconds = LedgerWriter.wallClock,
    onRollback: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.store = store
    self.identity = identity
    self.witnesses = witnesses
    self.interval = Milliseconds(interval / .milliseconds(1))
    self.logger = logger
    self.post = post
    self.now = now
    self.onRollback = onRollback
    states = Mutex(witnesses.map { _ in State() })
  }

  /// How many entries the log had when each witness last cosigned it for this server, by the names of their keys.
  public var cosignedSizes: [(name: String, size: Int)] {
    states.withLock { zip(witnesses, $0).map { ($0.key.name, $1.cosignedSize) } }
  }

  /// What a witness says of another history of the log; nil if none does.
  public var rollback: String? {
    states.withLock { states in
      for case .otherHistory(let reason)? in states.map(\.trouble) { return reason }
      return nil
    }
  }

  /// Asks until it is cancelled.
  public func run() async {
    guard !witnesses.isEmpty else { return }
    await withDiscardingTaskGroup { group in
      var hasFailed = false
      while !Task.isCancelled {
        do {
          for request in try await round() { group.addTask { await self.ask(request) } }
          hasFailed = false
        } catch {
          if !hasFailed { logger.error("Witnesses could not be asked.", metadata: ["fault": "\(error)"]) }
          hasFailed = true
        }
        do { try await Task.sleep(for: Self.pause) } catch { break }
      }
    }
  }

  /// What one witness is to be asked.
  package struct Request: Sendable {
    package let place: Int
    package let size: Int
    /// With the log's own signature.
    let note: SignedNote
  }

  /// Begins a round, if it is time for one and there is a witness to be asked.
  package func round() async throws -> [Request] {
    guard let newest = try await store.checkpoint(of: identity.era) else { return [] }
    let note = try SignedNote(newest.text)
    let free = states.withLock { states in states.indices.filter { !states[$0].isAsked } }.filter { place in
      !note.signatures.contains(where: witnesses[place].key.isNamed)
    }
    guard !free.isEmpty, try await store.claimCosigning(of: identity.era, for: interval) else { return [] }
    let own = SignedNote(text: note.text, signatures: note.signatures.filter(identity.verifierKey.isNamed))
    states.withLock { states in
      for place in free { states[place].isAsked = true }
    }
    return free.map { Request(place: $0, size: newest.size, note: own) }
  }

  /// Asks a witness, and stores its cosignature.
  package func ask(_ request: Request) async {
    let result: Result<NoteSignature, any Error>
    do {
      let signature = try await cosignature(request)
      let checkpoint = request.note.description
      try await store.keep(
        LogCosignature(
          era: identity.era, size: request.size, witness: witnesses[request.place].key.description,
          checkpoint: checkpoint, line: signature.description))
      result = .success(signature)
    } catch {
      result = .failure(error)
    }
    guard !Task.isCancelled else { return }
    settle(request, result)
  }

  private func cosignature(_ request: Request) async throws -> NoteSignature {
    let deadline = ContinuousClock.now + Self.timeout
    let key = witnesses[request.place].key
    var old = min(states.withLock { $0[request.place].size }, request.size)
    var answer = try await send(request, from: old, until: deadline)
    if answer.status == 409, let size = try Self.size(in: answer), size != old {
      states.withLock { $0[request.place].size = size }
      guard size <= request.size else { throw try await ahead(by: size, of: request) }
      old = size
      answer = try await send(request, from: old, until: deadline)
    }
    switch answer.status {
    case 200:
      let seconds = Int(now() / 1000)
      guard let signature = Self.cosignature(in: answer.body, by: key, of: request.note.text, at: seconds) else {
        throw Trouble.unusable("the response has no valid cosignature of this time")
      }
      return signature
    case 409 where try Self.size(in: answer) == request.size && old == request.size:
      throw Trouble.otherHistory("it cosigned another tree of \(old) entries")
    case 422: throw Trouble.otherHistory("the log does not continue the tree of \(old) entries that it cosigned")
    case let status: throw Trouble.unusable("the response is \(status)")
    }
  }

  /// What it means that a witness has cosigned more entries than the log had when it was asked.
  private func ahead(by size: Int, of request: Request) async throws -> Trouble {
    // Another server may have asked about more in the meantime.
    let newest = try await store.checkpoint(of: identity.era)?.size ?? 0
    guard size > newest else { return .unusable("it has cosigned \(size) entries meanwhile") }
    return .otherHistory("it cosigned \(size) entries, and the log has \(newest)")
  }

  private func send(_ request: Request, from old: Int, until deadline: ContinuousClock.Instant) async throws -> Answer {
    let path = try await store.consistencyProof(of: identity.era, from: old, to: request.size)
    let body = AddCheckpoint(oldSize: old, path: path, note: request.note).description
    do {
      return try await post(
        witnesses[request.place].submission, Array(body.utf8), max(.zero, deadline - ContinuousClock.now))
    } catch {
      throw Trouble.unusable("\(error)")
    }
  }

  private func settle(_ request: Request, _ result: Result<NoteSignature, any Error>) {
    let trouble: Trouble? =
      switch result {
      case .success: nil
      case .failure(let error): error as? Trouble ?? .unusable("its cosignature could not be stored: \(error)")
      }
    let before = states.withLock { states in
      var state = states[request.place]
      defer { states[request.place] = state }
      let before = state.trouble
      state.isAsked = false
      if case .success = result { (state.size, state.cosignedSize) = (max(state.size, request.size), request.size) }
      // What it has seen stays true while it does not answer.
      if case (.otherHistory?, .unusable?) = (before, trouble) {} else { state.trouble = trouble }
      return before
    }
    let metadata: Logger.Metadata = ["witness": "\(witnesses[request.place].key.name)"]
    switch (before, trouble) {
    case (.otherHistory?, _?), (.unusable?, .unusable?), (nil, nil): break
    case (_, .otherHistory(let reason)?):
      logger.error(
        "A witness has seen another history of this log: \(reason). The database was set back, or the log was forked.",
        metadata: metadata)
      onRollback("the witness \(witnesses[request.place].key.name) has seen another history of the log: \(reason)")
    case (_, .unusable(let reason)?):
      logger.warning("A witness does not cosign: \(reason).", metadata: metadata)
    case (_, nil): logger.info("A witness cosigns again.", metadata: metadata)
    }
  }

  /// The size in an answer that names it: `text/x.tlog.size`.
  private static func size(in answer: Answer) throws(Trouble) -> Int? {
    guard answer.contentType?.lowercased() == "text/x.tlog.size" else { return nil }
    let text = String(decoding: answer.body, as: UTF8.self)
    guard text.hasSuffix("\n"), let size = Int(text.dropLast()), size >= 0, "\(size)\n" == text else {
      throw .unusable("the response 409 names no size")
    }
    return size
  }

  /// The cosignature by a key in an answer.
  ///
  /// - Parameter seconds: the time, in Unix seconds.
  /// - Returns: nil if there is none, or none that is valid and of about now.
  package static func cosignature(
    in body: [UInt8], by key: LogVerifierKey, of text: String, at seconds: Int
  ) -> NoteSignature? {
    for line in body.split(separator: UInt8(ascii: "\n")).prefix(SignedNote.mostSignatures) {
      guard let signature = NoteSignature(String(decoding: line, as: UTF8.self)),
        let time = key.time(of: signature, of: text), abs(time - seconds) <= clockSkew
      else { continue }
      return signature
    }
    return nil
  }
}
