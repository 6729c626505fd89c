"""Sentences people say to a home assistant, made from a small grammar; and a WordPiece vocabulary learnt from them.

In a template `(a|b|)` picks one, `{slot}` draws from SLOTS. Around the template come filler words, typing mistakes,
dropped words, capitals and punctuation. AMBIGUOUS sentences belong to several intents, so nobody reaches 100 %.
Run this file to see a few:  python intents_data.py
"""
import re

import numpy as np

SLOTS = {
    "time": "(seven|half past six|6|7 30|quarter to nine|noon|ten|5 45|eight|midnight|6 15|22 00) (am|pm|o'clock||||)",
    "day": "today|tomorrow|tonight|on monday|this weekend|on friday|next week|this evening|on sunday|tomorrow morning",
    "span": "(five|ten|20|45|three|90|fifteen|two|30|half a dozen) (minutes|min|seconds|hours)|an hour|half an hour",
    "who": "(my |)(mum|dad|brother|boss|sister|wife|landlord|dentist|neighbour|doctor)|anna|tom|priya|chen|lukas|marta"
           "|omar|jane|the office|the school|uncle bob|grandma|yusuf|ingrid|mr bauer",
    "room": "kitchen|living room|bedroom|hall|bathroom|garage|garden|office|upstairs|nursery|cellar|dining room|porch",
    "place": "the airport|the station|berlin|work|home|the nearest pharmacy|a petrol station|the city centre|lisbon"
             "|the hospital|grandma's house|the stadium|oslo|the museum|the beach|town hall|the office",
    "city": "berlin|paris|oslo|lisbon|london|rome|madrid|here|my area|the mountains|the city|vienna|the north",
    "food": "milk|eggs|bread|two onions|coffee|apples|toilet paper|dish soap|rice|butter|a birthday card|cat food"
            "|batteries|light bulbs|cheese|tomatoes|washing powder|some honey",
    "task": "water the plants|call {who}|pay the rent|take out the bins|buy {food}|send the report|feed the cat"
            "|book the flights|charge the phone|text {who}|turn off the oven|pick up the kids|check the weather"
            "|set the alarm|cancel the newspaper|take my pills",
    "music": "jazz|some rock|the beatles|my running playlist|classical music|something quiet|that song about rain"
             "|party music|the radio|christmas songs|piano music|the new album|hip hop|something to cook to|a podcast"
             "|an audiobook",
    "news": "news|headlines|latest news|sports results|local news|world news|stock market report|election results",
    "event": "meeting|appointment|call|flight|dentist appointment|lesson|interview|dinner|match",
    "say": "i am late|i will be there in {span}|dinner is ready|we need {food}|happy birthday|the train is delayed"
           "|i am at {place}|call me back|good night|the meeting moved to {time}|i can't find my keys|it is raining",
    "degrees": "(18|19|twenty|21|22 and a half|23|seventeen) (degrees||celsius)",
    "lamp": "light|lights|lamp|lamps|ceiling light|bedside lamp|lighting",
    "please": "please|can you|could you|would you|hey|i want you to|i need you to|go ahead and|computer",
}

INTENTS = {
    "alarm_set": [
        "(set|make|create|add) (an|the|my) alarm (for|at) {time} ({day}|)", "wake me (up|) (at|by|around) {time} ({day}|)",
        "(i have|i need|i want) to (get up|be up|be awake) (at|by) {time} ({day}|)", "alarm {time} ({day}|)",
        "(wake me|get me out of bed) {day} (with {music}|) (at|by) {time}", "don't let me sleep (past|after|later than) {time}"],
    "alarm_cancel": [
        "(cancel|delete|remove|drop|switch off|turn off) (my|the|that|tomorrow's|every) ({time} |)alarm ({day}|)",
        "(stop|silence|snooze|kill) (the|that|this) alarm", "(i don't need|no need for|forget) (the|my|an) alarm ({day}|)",
        "(don't|do not) wake me (up|) ({day}|at {time})", "let me sleep (in|longer) {day}"],
    "timer_start": [
        "(set|start|begin|make) (a|the|another) ({span} |)timer (for {span}|)", "(count down|countdown) (from|) {span}",
        "timer (for|) {span}", "(tell me|ping me|beep|let me know) (when|after) {span} (are over|have passed|are up|)",
        "(time|clock) (the|my) (pasta|eggs|workout|tea|cake) (for|) {span}"],
    "weather": [
        "(what's|what is|how's|how is) the (weather|forecast) (like|) (in {city}|) ({day}|)",
        "(will|is) it (going to|) (rain|snow|be sunny|be cold|be windy|freeze) (in {city}|) ({day}|)",
        "(do i need|should i take|should i bring) (an umbrella|a coat|sunglasses) {day}",
        "how (warm|cold|hot|windy) (will it be|is it|does it get) (outside|in {city}) ({day}|)",
        "(temperature|forecast|weather) (in|for) {city} ({day}|)", "(any|is there|a chance of) (rain|snow|storms) {day}"],
    "music_play": [
        "(play|put on|start|queue) {music} (in the {room}|)", "(i want|i'd like|i feel like) (to hear|to listen to|) {music}",
        "(turn|switch) on {music} (in the {room}|)", "(play|next|skip to the next) (song|track|one)",
        "(resume|continue|keep playing) (the music|{music}|my audiobook)", "(shuffle|let me hear) {music}"],
    "music_stop": [
        "(stop|pause|quit|end|mute) (the|this|that) (music|song|playlist|radio|track) (in the {room}|)",
        "(turn|switch) (off the|the) (music|radio|sound|speaker) (off|)", "(no more|enough|kill the) (music|songs|radio) (for {day}|)",
        "(be quiet|silence|shut up|stop playing|stop singing)", "(pause|stop) (playing|) {music}"],
    "volume_change": [
        "(turn|crank|bring) (it|the music|the volume|the radio) (up|down) (a bit|a little|a lot|)",
        "(volume|sound) (up|down|to {degrees}|at {time}|to max|to ten)", "(louder|quieter|softer|not so loud)",
        "(make it|make the music|can it be) (louder|quieter|softer)", "(i can't hear|it's too loud|lower|raise) (the music|the volume|a thing)",
        "set (the|) volume (to|at) (5|three|ten|fifty percent|30)"],
    "lights_on": [
        "(turn|switch|put) on the ({room} |){lamp} (in the {room}|)", "(turn|switch|put) the ({room} |){lamp} on",
        "{lamp} on (in the {room}|)", "(it's|it is) (too |so |)dark (in here|in the {room}|here)",
        "(light up|illuminate|brighten) the {room}", "(more|give me some|i need) light (in the {room}|in here|)"],
    "lights_off": [
        "(turn|switch|put) off the ({room} |){lamp} (in the {room}|)", "(turn|switch|put) (the|all the|every) ({room} |){lamp} (off|out)",
        "{lamp} (off|out) (in the {room}|)", "(kill|cut|dim) the ({room} |){lamp}", "(it's|it is) too bright (in here|in the {room}|)",
        "(make it|i want it) dark (in the {room}|in here|)", "i don't need (the|any) {lamp} (in the {room}|)"],
    "heating_set": [
        "(set|turn|put) the (heating|thermostat|heater|temperature) (in the {room}|) to {degrees}",
        "(turn|switch) (up|down|on|off) the (heating|heater|thermostat|radiator) (in the {room}|)",
        "(make|keep) (it|the {room}) (warmer|cooler|at {degrees}|a bit warmer)", "(i'm|i am|we are) (freezing|cold|too warm|sweating) (in the {room}|in here|)",
        "(it's|it is) (too |so |)(cold|hot|warm|chilly) (in here|in the {room})", "{degrees} in the {room}"],
    "reminder_add": [
        "remind me to {task} ({day}|at {time}|in {span}|)", "(don't let me forget|help me remember|i must not forget) to {task} ({day}|)",
        "(set|add|make) a reminder (to {task}|for {day}|about the {event}) ({day}|)", "(remind|tell) me (about|of) the {event} (in {span}|{day}|)",
        "(i have|i need) to {task} {day} (remind me|don't let me forget)", "(note|todo) {task} ({day}|)"],
    "shopping_add": [
        "(add|put) {food} (to|on) (the|my) (shopping|grocery|) list", "(we are|i am|we're) (out of|running out of|low on) {food}",
        "(buy|order|get) {food} (and {food}|)", "(i need|we need|get me) {food} (and {food}|) (from the shop|from the supermarket|)",
        "(shopping list|groceries) {food} (and {food}|)", "(next time i shop|when shopping) i want {food}"],
    "message_send": [
        "(text|message|tell|write) {who} (that|) {say}", "(send|write) a (message|text) to {who} (saying|that|) ({say}|)",
        "(let|) {who} know (that|) {say}", "(reply|answer) (to {who}|) (that|with|) {say}", "(send|text) {who} my (location|number|address)"],
    "call_start": [
        "(call|phone|ring|dial) {who} (on speaker|{day}|)", "(make|start) a (call|video call|phone call) (to|with) {who}",
        "(give|get) {who} (a call|a ring|on the phone|on the line)", "(i want|i need) to (talk|speak) (to|with) {who}",
        "(redial|call back|return the call from) {who}", "(can i|let me) (talk to|speak with) {who}"],
    "route_find": [
        "(how do i get|navigate|take me|directions|guide me|drive me) to {place} (from {place}|)", "(what's|find|show) the (fastest|shortest|best) (way|route) to {place}",
        "how (long|far) (is it|does it take) to (get to|) {place}", "(is there|how is|how's the) traffic (to|on the way to|near) {place}",
        "(when|what time) (do i|should i) (leave|go) (for|to) {place}", "(where is|where's) {place}"],
    "calendar_show": [
        "(what's|what is|show me what is|what do i have) (on|in) my (calendar|schedule|agenda) ({day}|)", "(what do i have|am i free|am i busy|do i have plans) {day}",
        "(when|what time|where) is (my|the) (next |){event} ({day}|)", "(do i have|is there) (a|an|any) {event} {day}",
        "(what's|what is) (next|my day like|planned) ({day}|)", "how long (until|till) my (next |){event}"],
    "news_read": [
        "(read|tell|give) me the {news} ({day}|)", "(what's|what is) (happening|going on|new) (in the world|in {city}|) ({day}|)",
        "(play|start|put on|show) the {news}", "(any|are there|what are the) {news} (from {city}|{day}|)",
        "(what did i miss|who won|catch me up on) (the match|the elections|the {news}|in {city}) ({day}|)"],
    "joke_tell": [
        "(tell|give) (me|us) (a|another|one more) (good |bad |) (joke|pun|riddle|one liner)", "(make|can you make) (me|us|{who}) laugh",
        "(say|tell me|do) something funny", "(do you know|know|got) (any|a|some) (good |)(jokes|joke|puns|riddle)",
        "(cheer me up|i am bored|entertain us) (with a joke|)", "a joke (about|for) {who}"],
}

AMBIGUOUS = [
    ("(turn|switch|put) (it|that|everything) off (in the {room}|)", ["lights_off", "music_stop", "heating_set"]),
    ("(turn|switch|put) (it|that|everything) on (in the {room}|)", ["lights_on", "music_play", "heating_set"]),
    ("(stop|cancel|kill) (it|that|this)", ["music_stop", "alarm_cancel"]),
    ("(a bit|) (more|less) (please|)", ["volume_change", "heating_set"]),
    ("(set|make) (it|one) for {time}", ["alarm_set", "reminder_add"]),
    ("{food}", ["shopping_add"]), ("{who}", ["call_start", "message_send"]), ("{place}", ["route_find", "weather"]),
    ("what's (up|new|on) {day}", ["news_read", "calendar_show"]),
    ("(get|ask|contact|reach) {who} ({day}|)", ["call_start", "message_send"]),
]

NAMES = sorted(INTENTS)
FILLER = ["um", "uh", "well", "okay", "so", "hi", "listen", "you know", "oh", "sorry", "quickly", "now"]
TAIL = ["please", "thanks", "thank you", "now", "right now", "if you can", "asap", "okay", "will you", "for me", "dear"]
KEYS = "qwertyuiop asdfghjkl zxcvbnm"


def expand(template, rng):
    """Resolve slots and alternatives, innermost first."""
    while match := re.search(r"\{(\w+)\}|\(([^()]*)\)", template):
        options = (f"({SLOTS[match[1]]})",) if match[1] else match[2].split("|")
        if match[1] and "(" not in SLOTS[match[1]]:
            options = SLOTS[match[1]].split("|")
        template = template[: match.start()] + str(rng.choice(options)) + template[match.end() :]
    return " ".join(template.split())


def typo(word, rng):
    """One slip of the finger: a letter lost, doubled, swapped with the next, or the key beside it."""
    if len(word) < 3:
        return word
    i, kind = int(rng.integers(len(word) - 1)), rng.integers(4)
    if kind == 0:
        return word[:i] + word[i + 1 :]
    if kind == 1:
        return word[:i] + word[i] + word[i:]
    if kind == 2:
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    beside = KEYS[(KEYS.find(word[i]) + 1) % len(KEYS)]
    return word[:i] + (beside if beside != " " else "") + word[i + 1 :]


def make_sentence(rng):
    """One (text, intent)."""
    if rng.random() < 0.05:
        template, intents = AMBIGUOUS[rng.integers(len(AMBIGUOUS))]
        intent = str(rng.choice(intents))
    else:
        intent = NAMES[rng.integers(len(NAMES))]
        template = str(rng.choice(INTENTS[intent]))
    text = expand(template, rng)
    if rng.random() < 0.35:
        text = f"{expand('{please}', rng)} {text}"
    if rng.random() < 0.15:
        text = f"{rng.choice(FILLER)} {text}"
    if rng.random() < 0.2:
        text = f"{text} {rng.choice(TAIL)}"
    sloppy = rng.choice([0, 0.05, 0.25], p=[0.5, 0.35, 0.15])
    words = [typo(w, rng) if rng.random() < sloppy else w for w in text.split() if rng.random() > sloppy / 3]
    text = " ".join(words) or text
    if rng.random() < 0.3:
        text = text[0].upper() + text[1:]
    return text + str(rng.choice(["", "", "", ".", "?", "!"])), intent


def make_set(count, seed, avoid=()):
    """`count` different sentences with their intents, none of them in `avoid` (compared without case)."""
    rng, seen, rows = np.random.default_rng(seed), {t.lower() for t, _ in avoid}, []
    while len(rows) < count:
        text, intent = make_sentence(rng)
        if text.lower() not in seen:
            seen.add(text.lower())
            rows.append((text, intent))
    return rows


def split_words(text):
    """What BERT's normalizer and pre-tokenizer do to plain English."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def learn_vocab(texts, size):
    """Merge the most frequent neighbours, as in byte-pair encoding, into pieces named the WordPiece way."""
    counts = {}
    for text in texts:
        for word in split_words(text):
            counts[word] = counts.get(word, 0) + 1
    words = {w: [w[0]] + ["##" + c for c in w[1:]] for w in counts}
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + c for c in letters), *"'.?!,-"]
    while len(vocab) < size:
        pairs = {}
        for word, pieces in words.items():
            for pair in zip(pieces, pieces[1:]):
                pairs[pair] = pairs.get(pair, 0) + counts[word]
        left, right = max(pairs, key=lambda p: (pairs[p], p))
        merged = left + right[2:]
        vocab.append(merged)
        for word, pieces in words.items():
            out = []
            for piece in pieces:
                if out and out[-1] == left and piece == right:
                    out[-1] = merged
                else:
                    out.append(piece)
            words[word] = out
    return vocab


def encode(text, ids):
    """WordPiece: the longest known piece first, the whole word [UNK] if that gets stuck."""
    tokens = [ids["[CLS]"]]
    for word in split_words(text):
        pieces, start = [], 0
        while start < len(word):
            end = next((e for e in range(len(word), start, -1) if "##" * (start > 0) + word[start:e] in ids), None)
            if end is None:
                pieces = [ids["[UNK]"]]
                break
            pieces.append(ids["##" * (start > 0) + word[start:end]])
            start = end
        tokens += pieces
    return tokens + [ids["[SEP]"]]


if __name__ == "__main__":
    for sentence, label in make_set(40, 1):
        print(f"{label:15} {sentence}")
