import JSON
import Testing

/// Reading a text that has been checked.
@Suite struct ValueTests {
  @Test func kinds() throws {
    let kinds: [(String, JSONValue.Kind)] = [
      ("null", .null), ("true", .bool), ("false", .bool), ("-1.5e3", .number), ("0", .number), ("\"1\"", .string),
      ("[1]", .array), ("{\"a\":1}", .object),
    ]
    for (source, kind) in kinds {
      let value = try parse(source)
      #expect(value.kind == kind)
      #expect((value.number != nil) == (kind == .number))
      #expect((value.string != nil) == (kind == .string))
      #expect((value.elements() != nil) == (kind == .array))
      #expect((value.members != nil) == (kind == .object))
    }
  }

  @Test func numbersKeepTheirDigits() throws {
    for number in ["0.10", "1E400", "-0", "3.0", "3e0", "123456789012345678901234567890", "1.000000000000000000001"] {
      #expect(try parse(" \(number) ").number == number)
      #expect(try parse("[\(number)]").elements()?.first?.number == number)
    }
  }

  // MARK: Strings

  @Test(arguments: [
    (#""""#, ""), (#""plain""#, "plain"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""\u0041\u00e9""#, "Aé"),
    (#""\u20AC\u20ac""#, "€€"), (#""\ud83d\ude00""#, "😀"), (#""\uD83D\uDE00!""#, "😀!"),
    (#""\udbff\udfff""#, "\u{10FFFF}"),
    (#""\uffff""#, "\u{FFFF}"), (#""\u0000x""#, "\u{0}x"), (#""é😀\n""#, "é😀\n"), (#""\\u0041""#, "\\u0041"),
  ])
  func resolvesEscapes(_ source: String, _ meaning: String) throws {
    #expect(try parse(source).string == bytes(meaning))
    #expect(text(try parse(source).raw) == source)
  }

  @Test(arguments: [
    #""\ud800""#, #""\udfff""#, #""\udc00\ud800""#, #""\ud800\ud800""#, #""\ud800x""#, #""\ud800\n""#,
    #""\ud800\u0041""#, #""ok\udbff""#,
  ])
  func unpairedSurrogatesHaveNoText(_ source: String) throws {
    let value = try parse(source)
    #expect(value.string == nil)
    #expect(text(value.raw) == source)
    // As the name of a member it stands as it was written.
    let written = String(source.dropFirst().dropLast())
    #expect(try parse("{\(source):1,\"a\":2}").members?.map { text($0.name) } == [written, "a"])
  }

  @Test func namesAreComparedByTheirBytes() throws {
    let members = try parse(#"{"é":1,"e\u0301":2,"\u0061":3,"a":4}"#).members
    #expect(members?.map { Array($0.name) } == [bytes("é"), bytes("e\u{301}"), bytes("a"), bytes("a")])
    #expect(members?.map { $0.value.number } == ["1", "2", "3", "4"])
  }

  /// Nothing else in the object is, whatever it shares with the name.
  @Test(arguments: ["ab", #"\u0061b"#, #"a\u0062"#, #"\u0061\u0062"#])
  func aNameIsFoundHoweverItIsWritten(_ written: String) throws {
    let others = ["", "a", "b", "ba", "abc", "aB", #"ab\n"#, #"\\u0061b"#, #"\ud800"#, #"\"ab"#].map { "\"\($0)\":1" }
    let object = try parse("{\(others.joined(separator: ",")), \"\(written)\" : 2}")
    let places = try #require(object.places)
    #expect(places.filter { object.isNamed("ab", at: $0) }.map { object.value(of: $0).number } == ["2"])
    #expect(places.filter { object.isNamed("", at: $0) }.count == 1)
    #expect(places.map { Array(object.name(of: $0)) } == object.members?.map { Array($0.name) })
    #expect(try parse("[]").places == nil)
  }

  // MARK: Arrays and objects

  @Test func elementsInOrderUpToTheLimit() throws {
    let array = try parse(#"[ 1 , "a,]" , [2,[3]] , {"b":[4]} , null ]"#)
    let all = [#"1"#, #""a,]""#, "[2,[3]]", #"{"b":[4]}"#, "null"]
    #expect(array.elements()?.map { text($0.raw) } == all)
    for limit in 0...6 {
      #expect(array.elements(limit: limit)?.map { text($0.raw) } == Array(all.prefix(limit)))
    }
    #expect(try parse("[]").elements()?.isEmpty == true)
    #expect(try parse("[ \n ]").elements()?.isEmpty == true)
  }

  @Test func membersInOrderRepeatedOnesIncluded() throws {
    let members = try #require(parse(#"{ "a" : 1 , "b" : {"c":[1,2]} ,"a":"}", "" : [] }"#).members)
    #expect(members.map { text($0.name) } == ["a", "b", "a", ""])
    #expect(members.map { text($0.value.raw) } == ["1", #"{"c":[1,2]}"#, #""}""#, "[]"])
    #expect(try parse("{}").members?.isEmpty == true)
  }

  @Test func aMillionElementsAreLookedAtOnlyAsFarAsAsked() throws {
    let source =
      [UInt8](repeating: UInt8(ascii: "["), count: 1) + Array(String(repeating: "7,", count: 999_999).utf8)
      + bytes("7]")
    let array = try JSONText(source).root
    #expect(array.elements(limit: 1001)?.count == 1001)
    #expect(array.elements()?.count == 1_000_000)
  }

  // MARK: As it was written

  @Test(arguments: [
    ("1", "1"), (" 1.50 ", "1.50"), ("[ 1 , 2.0 ]", "[1,2.0]"),
    (#"{ "a b" : [ "\u0041 \" , ", 1e+05 ] }"#, #"{"a b":["\u0041 \" , ",1e+05]}"#),
    ("[\n\t{\r\n} ]", "[{}]"), (#"" \\ ""#, #"" \\ ""#), (#"["\\", " " ]"#, #"["\\"," "]"#),
  ])
  func compactDropsOnlyTheSpaceBetweenTokens(_ source: String, _ compact: String) throws {
    let value = try parse(source)
    #expect(written { value.appendCompact(to: &$0) } == compact)
    // Compact already: nothing to drop.
    #expect(written { try! parse(compact).appendCompact(to: &$0) } == compact)
  }

  @Test func rawKeepsTheSpaceInside() throws {
    let element = try #require(parse("[ { \"a\" : 1.0 } ]").elements()?.first)
    #expect(text(element.raw) == "{ \"a\" : 1.0 }")
  }
}
