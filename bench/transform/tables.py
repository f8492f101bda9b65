"""The tables of the benchmark and what has to come out of them. Every field follows from the number of its row, so that
nothing has to be kept to check an output."""

PERIOD = 201
# Rows that differ in more than their id and value; prime, so that they drift against the period.
TAILS = 1009
STEP = 7919


def value(i):
    return i * STEP % PERIOD - 100


def processed(v):
    return v * 2 if v > 0 else 0


def kept(v):
    """The filter that keeps one row in a hundred: `value > 98`."""
    return v > 98


FAMILY = "김 이 박 최 정 강 조 윤 장 임".split()
GIVEN = "민준 서연 도윤 하은 시우 지유 예준 수아 준서 채원 은우".split()
CITIES = "서울특별시 부산광역시 대구광역시 인천광역시 광주광역시 제주특별자치도 경기도 수원시".split()
WORDS = "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike".split()


def korean(k):
    city = CITIES[k % len(CITIES)]
    return [FAMILY[k % 10] + GIVEN[k % 11], f"{city}, {k % 97 + 1}번지", f"주문 {k}건 완료"]


def wide(k):
    fields = []
    for c in range(48):
        h = (k * 2654435761 + c * 97409 + 12345) % 4294967291
        word = WORDS[h % len(WORDS)]
        match c % 8:
            case 0:
                fields.append(str(h % 1000000))
            case 1:
                # Never a whole number, so that all engines spell it alike.
                fields.append(f"{h % 9973}.{('25', '5', '75')[h % 3]}")
            case 2:
                fields.append(word)
            case 3:
                fields.append(f"20{h % 25 + 10}-{h // 25 % 12 + 1:02}-{h // 300 % 28 + 1:02}")
            case 4:
                fields.append(f"{word}, {WORDS[h // 13 % len(WORDS)]} {h % 89}")
            case 5:
                fields.append("" if h % 5 == 0 else f"N{h % 100000:05}")
            case 6:
                fields.append(f'said "{word}"\nand left\n' if h % 4 == 0 else f"{word} {word} {word}")
            case _:
                fields.append(f"{word}/{h % 1000}/{h // 1000 % 1000}")
    return fields


# Name: names of the columns behind `id` and `value`, and what they hold.
SHAPES = {
    "narrow": ([], lambda k: []),
    "korean": (["name", "address", "note"], korean),
    "wide": ([f"c{n:02}" for n in range(3, 51)], wide),
}


def header(shape):
    return ["id", "value", *SHAPES[shape][0]]


def tails(shape):
    """The fields behind `id` and `value`; row `i` has those at `i % TAILS`."""
    names, make = SHAPES[shape]
    return [make(k) for k in range(TAILS)] if names else [[]] * TAILS


def quoted(field):
    return '"' + field.replace('"', '""') + '"' if any(c in field for c in ',"\n\r') else field
