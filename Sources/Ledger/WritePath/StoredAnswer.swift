import Fairness

/// What a store keeps of the answer under an idempotency key.
///
/// Outcomes are never deleted, so an answer that tells of some is rendered again from them: kept are their row numbers, the
/// text around them, and by which ``Rendering`` they were written, which may not be today's. A check over the whole makes
/// sure that a retry gets the first answer's bytes or, should an outcome's row be damaged, a fault, but never another answer.
///
/// An answer without outcomes is kept as it is. So is what an outcome does not say of itself: the ids and failures of a
/// batch, the seed and commitment of a reveal.
public struct StoredAnswer: Sendable, Equatable {
  private enum Piece: Sendable, Equatable {
    case text(ArraySlice<UInt8>)
    case outcome(Int64)
  }

  private let pieces: [Piece]
  private let check: [UInt8]
  /// The number of the rendering by which outcomes were written; nil if there are none.
  public let rendering: Int64?

  /// Texts between outcomes that are written as their place in this list. All else is written as its length, from
  /// `texts.count`, and itself. The list belongs to the format: see ``Rendering``.
  private static let texts = [
    "", "}", "{\"results\":[{\"ok\":true,\"outcome\":", "}},{\"ok\":true,\"outcome\":", "}}]}",
  ].map { Array($0.utf8) }
  private static let checkLength = 4

  /// The row numbers of the outcomes it tells of, in order.
  public var outcomes: [Int64] {
    pieces.compactMap { if case .outcome(let number) = $0 { number } else { nil } }
  }

  /// Whether it is one outcome and nothing else before it.
  private var isSingle: Bool {
    if case .outcome = pieces.first { true } else { false }
  }

  // MARK: Storage

  /// The bytes that a store keeps: the rendering's number, then texts and outcomes in turn, each outcome as its distance
  /// from the one before, then the check. Without outcomes a zero, then the body.
  ///
  /// - Parameter rendering: the number of the ``Rendering`` that the body was written by.
  public static func bytes(of reply: Reply, rendering: Int64) -> [UInt8] {
    var bytes: [UInt8] = []
    let (body, references) = (reply.body, reply.references)
    guard !references.isEmpty else {
      bytes.reserveCapacity(body.count + 1)
      bytes.append(0)
      bytes.append(contentsOf: body)
      return bytes
    }
    bytes.append(leb128: UInt64(rendering))
    var end = 0
    var last: Int64 = 0
    references.inOrder { reference in
      append(body[end..<reference.range.lowerBound], to: &bytes)
      bytes.append(zigzag: reference.outcome - last)
      (end, last) = (reference.range.upperBound, reference.outcome)
    }
    append(body[end...], to: &bytes)
    bytes.append(contentsOf: LogDigest(of: body).prefix(checkLength))
    return bytes
  }

  private static func append(_ text: ArraySlice<UInt8>, to bytes: inout [UInt8]) {
    if let place = texts.firstIndex(where: { $0.elementsEqual(text) }) {
      bytes.append(leb128: UInt64(place))
    } else {
      bytes.append(leb128: UInt64(texts.count + text.count))
      bytes.append(contentsOf: text)
    }
  }

  /// - Throws: a ``StoreFailure`` if a store's column holds nothing that this program wrote.
  public init(_ bytes: [UInt8]) throws(StoreFailure) {
    var rest = bytes[...]
    guard let rendering = rest.takeLEB128(), rendering <= Int64.max else { throw Self.damaged }
    guard rendering > 0 else {
      (self.rendering, pieces, check) = (nil, [.text(rest)], [])
      return
    }
    guard rest.count >= Self.checkLength else { throw Self.damaged }
    check = Array(rest.suffix(Self.checkLength))
    rest.removeLast(Self.checkLength)
    var pieces: [Piece] = []
    var last: Int64 = 0
    while true {
      guard let length = rest.takeLEB128() else { throw Self.damaged }
      if length >= Self.texts.count {
        let count = length - UInt64(Self.texts.count)
        guard count <= rest.count else { throw Self.damaged }
        pieces.append(.text(rest.prefix(Int(count))))
        rest = rest.dropFirst(Int(count))
      } else if !Self.texts[Int(length)].isEmpty {
        pieces.append(.text(Self.texts[Int(length)][...]))
      }
      if rest.isEmpty { break }
      guard let distance = rest.takeZigzag() else { throw Self.damaged }
      let (number, overflows) = last.addingReportingOverflow(distance)
      guard !overflows, ShortIDs.numbers.contains(number) else { throw Self.damaged }
      pieces.append(.outcome(number))
      last = number
    }
    self.rendering = Int64(rendering)
    self.pieces = pieces
  }

  private static let damaged = StoreFailure.damaged("an answer under an idempotency key is damaged")

  // MARK: Rendering again

  /// The answer, byte for byte.
  ///
  /// - Parameters:
  ///   - outcomes: those of ``outcomes``, by their numbers.
  ///   - rendering: that of ``rendering``.
  /// - Throws: a ``StoreFailure`` if one of them is not there, or not what it was.
  public func reply(
    status: Int, with outcomes: [Int64: Outcome], _ rendering: Rendering?, _ shortIDs: ShortIDs
  ) throws(StoreFailure) -> Reply {
    guard self.rendering != nil else {
      guard case .text(let body) = pieces.first else { throw Self.damaged }
      return Reply(status: status, body: Array(body))
    }
    guard let rendering else { throw .damaged("the rendering of an answer is missing") }
    guard rendering.format == OutcomeRenderer.format else {
      throw StoreFailure("an answer was rendered by a newer Fairdraw", kind: .permanent)
    }
    let renderer = OutcomeRenderer(shortIDs: shortIDs, publicURL: rendering.publicURL)
    var body: [UInt8] = []
    var shortID: [UInt8] = []
    for piece in pieces {
      switch piece {
      case .text(let text): body.append(contentsOf: text)
      case .outcome(let number):
        guard let outcome = outcomes[number] else {
          throw .damaged("an answer cannot be rendered again: outcome \(number) is missing or damaged")
        }
        shortID = renderer.shortID(of: outcome)
        renderer.appendOpen(outcome, shortID, to: &body)
      }
    }
    guard LogDigest(of: body).prefix(Self.checkLength).elementsEqual(check) else {
      throw .damaged("an answer cannot be rendered again: an outcome of \(self.outcomes) has changed")
    }
    return Reply(status: status, body: body, shortID: isSingle ? shortID : nil)
  }
}

/// How outcomes were written in an answer. Stores number renderings, of which there are few.
public struct Rendering: Sendable, Hashable {
  /// What ``OutcomeRenderer/format`` was.
  public let format: Int64
  /// Where clients reached the server.
  public let publicURL: String

  public init(format: Int64, publicURL: String) {
    self.format = format
    self.publicURL = publicURL
  }
}

/// Where in a body an outcome stands, as ``OutcomeRenderer/appendOpen(_:_:to:)`` wrote it.
struct BodyReference: Sendable {
  let range: Range<Int>
  let outcome: Int64
}

/// The outcomes that a body tells of, in order. One, which is what there mostly is, takes no memory of its own.
enum BodyReferences: Sendable {
  case none
  case one(BodyReference)
  case several([BodyReference])

  var isEmpty: Bool {
    switch self {
    case .none: true
    case .one: false
    case .several(let references): references.isEmpty
    }
  }

  func inOrder(_ body: (BodyReference) -> Void) {
    switch self {
    case .none: break
    case .one(let reference): body(reference)
    case .several(let references): for reference in references { body(reference) }
    }
  }
}
