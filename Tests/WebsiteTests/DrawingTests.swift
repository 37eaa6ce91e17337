import Fairness
import Ledger
import Testing
import Website

@Suite struct DrawingTests {
  private func outcome(
    _ endpoint: Endpoint, _ value: String, _ fields: String, items: String? = nil, clientSeed: String = "test"
  ) throws -> Outcome {
    Outcome(
      id: 7, chain: 1, mode: .live, clientSeed: try ClientSeed(clientSeed),
      serverHash: try ServerHash(bytes: [UInt8](repeating: 7, count: 32)), epoch: 0, cursor: 0, nonce: 0,
      endpoint: endpoint, value: Array(value.utf8), fields: Array(fields.utf8), items: items.map { Array($0.utf8) },
      created: 1_716_566_400_000)
  }

  private func count(_ part: String, in text: String) -> Int { text.ranges(of: part).count }

  @Test func aDieOfSixHasPips() throws {
    let drawing = OutcomeDrawing(
      try outcome(
        .dice, #"{"notation":"2d6+1","rolls":[3,5],"modifier":1,"total":9}"#, #""count":2,"sides":6,"modifier":1"#))
    #expect(count("class=\"pip\"", in: drawing.html) == 8)
    #expect(drawing.html.contains("aria-label=\"3 of 6\""))
    #expect(drawing.html.contains("3 + 5, +1 = 9"))
    #expect(drawing.summary == "2d6+1: 3 + 5, +1 = 9")
  }

  @Test(arguments: [
    (1, 0, ""), (1, 2, "6, +2 = 8"), (2, -3, "6 + 6, −3 = 9"), (2, 0, "6 + 6 = 12"), (40, 0, ""),
    (40, 2, "240, +2 = 242"),
  ])
  func aModifierStandsApart(count: Int, modifier: Int, formula: String) throws {
    let rolls = Array(repeating: "6", count: count).joined(separator: ",")
    let total = 6 * count + modifier
    let drawing = OutcomeDrawing(
      try outcome(
        .dice, #"{"notation":"\#(count)d6","rolls":[\#(rolls)],"modifier":\#(modifier),"total":\#(total)}"#,
        #""count":\#(count),"sides":6,"modifier":\#(modifier)"#))
    #expect(drawing.html.contains(" = ") == !formula.isEmpty)
    #expect(formula.isEmpty || drawing.html.contains(">\(formula)</p>"))
  }

  @Test(arguments: [2, 4, 8, 10, 12, 20, 100, 1_000_000])
  func anyOtherDieHasItsNumber(sides: Int) throws {
    let drawing = OutcomeDrawing(
      try outcome(
        .dice, #"{"notation":"1d\#(sides)","rolls":[\#(sides)],"modifier":0,"total":\#(sides)}"#,
        #""count":1,"sides":\#(sides),"modifier":0"#))
    #expect(drawing.html.contains(">\(sides)</text>"))
    #expect(!drawing.html.contains("class=\"big\""), "a single die is its own total")
  }

  @Test func aShuffleShowsMoves() throws {
    let drawing = OutcomeDrawing(
      try outcome(.shuffle, #"["c","b","a","a"]"#, #""count":4"#, items: #""a","b","a","c""#))
    let moves = drawing.html.ranges(of: "class=\"from\">").map { drawing.html[$0.upperBound...].prefix { $0 != "<" } }
    #expect(moves == ["from 4", "stayed", "from 1", "from 3"])
  }

  @Test func aPickIsMarkedWhereverItStands() throws {
    let items = (0..<1000).map { "\"item \($0)\"" }.joined(separator: ",")
    let drawing = OutcomeDrawing(
      try outcome(.pick, "\"item 999\"", #""index":999,"weights":null,"count":1"#, items: items))
    #expect(count("class=\"picked\"", in: drawing.html) == 1)
  }

  /// The links lead to each item once, and say how many there are.
  @Test(arguments: [Endpoint.shuffle, .pick, .sample])
  func allOfALongListIsReached(endpoint: Endpoint) throws {
    let list = (0..<1000).map { endpoint == .sample ? "\($0)" : "\"item \($0).\"" }.joined(separator: ",")
    let long =
      switch endpoint {
      case .shuffle: try outcome(.shuffle, "[\(list)]", #""count":1000"#, items: list)
      case .pick: try outcome(.pick, "\"item 5.\"", #""index":5,"weights":null,"count":1"#, items: list)
      default: try outcome(.sample, "[\(list)]", #""min":0,"max":999,"count":1000"#)
      }
    var seen: [Int] = []
    var start: Int? = 0
    while let from = start {
      let html = OutcomeDrawing(long, from: from, address: "/o/x").html
      #expect(html.contains("<a href=\"/o/x\">From the first</a>") == (from > 0))
      let here = html.matches(
        of: endpoint == .sample ? /<li>(\d+)<\/li>/ : /class="name"><bdi class="text">item (\d+)\./)
      seen += here.compactMap { Int($0.1) }
      let next = html.firstMatch(of: /… and <a href="\/o\/x\?from=(\d+)">(\d+) more<\/a>/)
      start = next.flatMap { Int($0.1) }
      if let start, let next { #expect(Int(next.2) == 1000 - start && start == seen.count) }
    }
    #expect(seen == Array(0..<1000))
    #expect(OutcomeDrawing(long, from: 1000, address: "/o/x").html.contains("From the first"))
    #expect(!OutcomeDrawing(long).html.contains("<a "), "a drawing elsewhere has no links")
  }

  @Test func itemsAreReadable() throws {
    let items = #"{"name":"B\u00e9la \ud83c\udfb2 \u202e \u003c"},"\u00e9""#
    let drawing = OutcomeDrawing(try outcome(.shuffle, "[\(items)]", #""count":2"#, items: items))
    #expect(drawing.html.contains("Béla 🎲 <span class=\"ctl\">U+202E</span> \\u003c"))
    #expect(drawing.summary.hasSuffix("é"))
  }

  @Test func weightsAreBars() throws {
    let drawing = OutcomeDrawing(
      try outcome(.pick, "\"b\"", #""index":1,"weights":[1,3],"count":1"#, items: #""a","b""#))
    #expect(drawing.html.contains("width=\"25\"") && drawing.html.contains("width=\"75\""))
    #expect(drawing.html.contains("picked, weight 3, 75 %"))
  }

  @Test(arguments: [
    (Endpoint.floats, "[0.5,0.25]", #""count":2"#), (.ints, "[-3,7]", #""min":-5,"max":7,"count":2"#),
    (.gaussian, "[0.1,-2]", #""distribution":"normal","mean":0,"stddev":1,"count":2"#),
    (.gaussian, "[0.1,2]", #""distribution":"exponential","lambda":0.5,"count":2"#),
    (.gaussian, "[3,5]", #""distribution":"poisson","lambda":4,"count":2"#),
    (.sample, "[6,1]", #""min":1,"max":6,"count":2"#),
  ])
  func valuesAreMarkedOnTheirRange(endpoint: Endpoint, value: String, fields: String) throws {
    let drawing = OutcomeDrawing(try outcome(endpoint, value, fields))
    #expect(count("class=\"mark\"", in: drawing.html) == 2)
    #expect(!drawing.html.contains("nan") && !drawing.html.contains("inf"))
  }

  /// Numbers that no picture can hold are told, and not drawn.
  @Test func numbersBeyondAnyScaleDoNoHarm() throws {
    let huge = OutcomeDrawing(
      try outcome(
        .gaussian, "[1.7e308,-1.7e308]", #""distribution":"normal","mean":1e308,"stddev":1e308,"count":2"#))
    #expect(huge.html.contains("1.7e308") && !huge.html.contains("nan"))
    let tiny = OutcomeDrawing(
      try outcome(.gaussian, "[5e-324]", #""distribution":"exponential","lambda":1e308,"count":1"#))
    #expect(!tiny.html.contains("nan"))
  }

  @Test func bytesAreGrouped() throws {
    let drawing = OutcomeDrawing(try outcome(.bytes, "\"00112233445566\"", #""encoding":"hex","count":7"#))
    #expect(drawing.html.contains("<li>00112233</li><li>445566</li>"))
  }

  @Test(arguments: ["<script>alert(1)</script>", "\"\u{301}onload=x", "\u{202E}abc", "]]>"])
  func itemsAreText(item: String) throws {
    // By scalars: as characters, a quotation mark under an accent is no quotation mark.
    let json = "\"" + item.unicodeScalars.map { $0 == "\"" ? "\\\"" : String($0) }.joined() + "\""
    for drawing in [
      OutcomeDrawing(try outcome(.shuffle, "[\(json)]", #""count":1"#, items: json)),
      OutcomeDrawing(try outcome(.pick, json, #""index":0,"weights":[1],"count":1"#, items: json)),
    ] {
      #expect(!drawing.html.contains("<script"))
      #expect(!drawing.html.unicodeScalars.contains("\u{202E}"))
      #expect(drawing.html.contains("<bdi"))
    }
  }

  /// The largest outcomes there can be are drawn within bounds.
  @Test func aDrawingIsBounded() throws {
    let long = "\"\(String(repeating: "漢", count: 500))\""
    let items = Array(repeating: long, count: 1000).joined(separator: ",")
    let shuffle = OutcomeDrawing(try outcome(.shuffle, "[\(items)]", #""count":1000"#, items: items))
    let weights = Array(repeating: "1", count: 1000).joined(separator: ",")
    let pick = OutcomeDrawing(
      try outcome(.pick, long, #""index":999,"weights":[\#(weights)],"count":1"#, items: items))
    let numbers = Array(repeating: "-2.2250738585072014e-308", count: 100).joined(separator: ",")
    let samples = OutcomeDrawing(
      try outcome(.gaussian, "[\(numbers)]", #""distribution":"normal","mean":0,"stddev":1,"count":100"#))
    let sample = OutcomeDrawing(
      try outcome(
        .sample, "[\((0..<1000).map { "\(4_294_966_000 + $0)" }.joined(separator: ","))]",
        #""min":0,"max":4294967295,"count":1000"#))
    #expect(sample.html.contains("and 900 more."))
    let rolls = Array(repeating: "6", count: 100).joined(separator: ",")
    let dice = OutcomeDrawing(
      try outcome(
        .dice, #"{"notation":"100d6","rolls":[\#(rolls)],"modifier":0,"total":600}"#,
        #""count":100,"sides":6,"modifier":0"#))
    for drawing in [shuffle, pick, samples, sample, dice] { #expect(drawing.html.utf8.count < 24_000) }
  }

  @Test(arguments: [
    "plain", "<b>&\"'\u{301}", "\u{1}\u{B}\u{202E}\u{FEFF}", "\u{FFFE}\u{FFFF}",
    String(repeating: "\u{1F600}", count: 64),
  ])
  func aPreviewIsMadeOfAnyText(text: String) throws {
    let templates = try Templates()
    let json =
      "\"\(text.unicodeScalars.map { $0.value < 32 ? "\\u00" + ($0.value < 16 ? "0" : "") + String($0.value, radix: 16) : $0 == "\"" ? "\\\"" : String($0) }.joined())\""
    for outcome in [
      try outcome(.pick, json, #""index":0,"weights":null,"count":1"#, items: json, clientSeed: text),
      try outcome(
        .dice, #"{"notation":"3d20","rolls":[20,1,7],"modifier":0,"total":28}"#, #""count":3,"sides":20,"modifier":0"#,
        clientSeed: text),
    ] {
      let png = try PreviewPicture.png(PreviewPicture.svg(outcome, templates: templates))
      #expect(png.starts(with: [0x89, 0x50, 0x4E, 0x47]))
      #expect(png[16..<24].elementsEqual([0, 0, 0x04, 0xB0, 0, 0, 0x02, 0x76]), "1200 × 630")
    }
  }

  @Test func whatIsNoSVGIsAnError() {
    #expect(throws: PreviewPicture.Failure.self) { try PreviewPicture.png("<svg") }
  }
}
