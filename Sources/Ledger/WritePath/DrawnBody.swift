import JSON
import Synchronization

/// The body of an answer that tells of outcomes just drawn, rendered when somebody first asks for it.
///
/// That is where it is sent: everybody waits for the thread that decides groups, and nobody for the one that answers. The
/// body of an answer under an idempotency key is rendered before that is stored.
final class DrawnBody: Sendable {
  /// What came of an entry of a batch, with the entry's own id.
  enum Entry: Sendable {
    case drawn(Outcome, shortID: [UInt8], id: [UInt8]?)
    case failed(Refusal, id: [UInt8]?)

    var refusal: Refusal? { if case .failed(let refusal, _) = self { refusal } else { nil } }
    var id: [UInt8]? {
      switch self {
      case .drawn(_, _, let id), .failed(_, let id): id
      }
    }
  }

  private enum State {
    case outcome(Outcome, shortID: [UInt8])
    case batch([Entry])
    case rendered([UInt8], BodyReferences)
  }

  private let renderer: OutcomeRenderer
  private let state: Mutex<State>

  init(of outcome: Outcome, _ shortID: [UInt8], _ renderer: OutcomeRenderer) {
    self.renderer = renderer
    state = Mutex(.outcome(outcome, shortID: shortID))
  }

  init(ofBatch entries: [Entry], _ renderer: OutcomeRenderer) {
    self.renderer = renderer
    state = Mutex(.batch(entries))
  }

  /// The JSON, and where in it outcomes stand.
  var rendered: (bytes: [UInt8], references: BodyReferences) {
    state.withLock { state in
      var bytes: [UInt8] = []
      let references: BodyReferences
      switch state {
      case .rendered(let bytes, let references): return (bytes, references)
      case .outcome(let outcome, let shortID):
        bytes.reserveCapacity(384 + outcome.bytes)
        references = .one(render(outcome, shortID, to: &bytes))
      case .batch(let entries): references = .several(render(entries, to: &bytes))
      }
      state = .rendered(bytes, references)  // the outcomes themselves are not needed any more
      return (bytes, references)
    }
  }

  private func render(_ outcome: Outcome, _ shortID: [UInt8], to bytes: inout [UInt8]) -> BodyReference {
    let start = bytes.count
    renderer.appendOpen(outcome, shortID, to: &bytes)
    let reference = BodyReference(range: start..<bytes.count, outcome: outcome.id)
    OutcomeRenderer.close(outcome, &bytes)
    return reference
  }

  private func render(_ entries: [Entry], to bytes: inout [UInt8]) -> [BodyReference] {
    bytes.reserveCapacity(entries.count * 480)
    var references: [BodyReference] = []
    references.reserveCapacity(entries.count)
    bytes.append(json: "{\"results\":[")
    for (index, entry) in entries.enumerated() {
      if index > 0 { bytes.append(json: ",") }
      switch entry {
      case .drawn(let outcome, let shortID, let id):
        bytes.append(json: "{\"ok\":true,")
        bytes.append(id: id)
        bytes.append(json: "\"outcome\":")
        references.append(render(outcome, shortID, to: &bytes))
      case .failed(let refusal, let id):
        bytes.append(json: "{\"ok\":false,")
        bytes.append(id: id)
        refusal.appendReason(to: &bytes)
      }
      bytes.append(json: "}")
    }
    bytes.append(json: "]}")
    return references
  }
}

extension [UInt8] {
  fileprivate mutating func append(id: [UInt8]?) {
    guard let id else { return }
    append(json: "\"id\":")
    append(jsonString: id)
    append(json: ",")
  }
}
