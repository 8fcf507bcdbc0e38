# SPDX-License-Identifier: Apache-2.0


def test_it_appends_two_texts_and_then_a_number_each_second(greengrass):
    greengrass.load("group.toml")
    greengrass.advance(seconds=3)
    first, second, *numbers = greengrass.stream("SomeStream").read(0, most=100)
    assert (first.payload, second.payload) == (b"ABCDEFGHIJKLMNO", b"PQRSTUVWXYZ")
    assert len(numbers) >= 3
    assert all(0 <= int.from_bytes(each.payload, "big") <= 1000 for each in numbers)
    said = [record.message for record in greengrass.logs("TransferStream")]
    assert any("Successfully read 2 messages: [<Class Message." in line for line in said)


def test_its_stream_goes_to_kinesis(greengrass):
    greengrass.load("group.toml")
    greengrass.advance(seconds=1)
    definition = greengrass.stream("SomeStream").describe().definition
    (kinesis,) = definition.export_definition.kinesis
    assert (
        kinesis.identifier,
        kinesis.kinesis_stream_name,
    ) == ("KinesisExportSomeStream", "MyKinesisStream")
