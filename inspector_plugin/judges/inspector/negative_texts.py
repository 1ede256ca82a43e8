"""Texts of made negatives that do not depend on the problem. The sanity suite has others."""

from __future__ import annotations

REFUSALS = (
    "I cannot answer that.",
    "Sorry, this is something I am unable to work out.",
    "I'm afraid I can't provide a response to that question.",
    "I have to pass on this one.",
    "As a language model, I am not in a position to solve this for you.",
    "My apologies, but solving this is beyond what I can do at the moment.",
    "I must decline to respond. Feel free to ask me about another subject.",
    "It would not be appropriate for me to give a solution here.",
    "There is not enough context for me to say anything about this, so I will leave it open.",
    "I do not feel comfortable answering. Perhaps a teacher or a colleague can be of help.",
    "Unfortunately, this falls outside the topics that I am permitted to deal with.",
    "I am still learning and do not have a solution to offer. Please rephrase your question.",
    "This question has been skipped.",
    "Let me be honest: I have no idea how to approach this, and I would rather not guess.",
    "I can't complete this task right now. Could you come back to it later?",
    "No answer will be given to this question, in line with the rules that I have to follow.",
    "I won't be able to do the calculation for you, but I am happy to chat about something else.",
    "Answering this might be misleading, so I'd prefer to abstain.",
)
OFF_TOPIC = (
    "The lighthouse keeper painted the railing every spring. In his second year he changed from "
    "green to white, because the gulls seemed to mind it less.",
    "Sourdough needs time more than skill. Feed the starter in the evening, keep it somewhere "
    "warm, and the dough will tell you when it is ready to be shaped.",
    "Our neighbours keep bees on the roof. On calm days the whole street smells of wax and "
    "honey, and nobody complains about the noise of the hives.",
    "The second album was recorded in a barn. You can hear the wind in the quiet songs, and the "
    "singer once said that this was the best musician in the band.",
    "Hiking boots should be broken in before a long tour. Wear them around the house first, "
    "then on short walks, and take two pairs of socks along.",
    "The city library lends more than books. Visitors can borrow tools, board games and even a "
    "telescope, as long as they bring everything back in one piece.",
    "Owls turn their heads because their eyes cannot move. Their feathers are so soft that a "
    "mouse hears nothing until it is too late.",
    "My aunt collects postcards of railway stations. She has never been fond of travelling, but "
    "she knows the timetables of half the continent.",
    "The museum reopened after a long renovation. The new staircase lets in the morning light, "
    "and the old paintings look younger than the visitors.",
    "Chess players speak of tempo when they mean time. A lost move early in the game can weigh "
    "more than a lost pawn, though beginners seldom believe it.",
    "In autumn the vineyards turn yellow and red. Pickers start before sunrise, and at noon "
    "everybody sits down at one long table behind the press house.",
    "The ferry runs only when the sea is calm. Islanders have learnt to keep flour and candles "
    "in the cupboard, and to enjoy the days when no visitors come.",
    "To repair a puncture, take off the wheel and pull out the tube. Hold it under water, look "
    "for bubbles, dry the spot and press the patch on firmly.",
    "She wrote her letters in pencil so that she could change her mind. Most of them were never "
    "sent, and they fill a whole drawer of the writing desk.",
    "Penguins share the work of hatching. While one parent stays with the egg, the other walks "
    "to the sea and returns with a full stomach.",
    "The theatre company tours small villages with a single van. The stage folds out of the "
    "side, and the audience brings its own chairs and blankets.",
    "A garden pond attracts dragonflies within weeks. Leave one bank shallow so that hedgehogs "
    "can climb out again, and do not put in any fish.",
    "The tailor measured twice and said little. When the coat was done, it fitted so well that "
    "its owner wore it to every wedding in the family.",
    "Fog settled over the valley and stayed for a week. Drivers crept along behind each other, "
    "and the church bells sounded as if they came from under water.",
    "Good tea does not like boiling water. Let the kettle rest for a while, warm the pot, and "
    "pour slowly over the leaves.",
    "The puppy chewed through two slippers and a telephone cable. Since then the children have "
    "been surprisingly careful to tidy up their things.",
    "Carnival in our region ends with a parade of wooden masks. Some of them are older than the "
    "houses, and they are handed down within families.",
    "The radio play tells of a night train that never arrives. All the passengers have a "
    "secret, and the conductor knows every one of them.",
    "Woodpeckers drum to mark their territory. Hollow trunks carry the sound furthest, which is "
    "why the same dead tree is used year after year.",
)
REPEATED_WORDS = (
    "maybe", "window", "pencil", "however", "result", "hello", "equals", "because", "total",
    "okay", "value", "lemon", "seven", "done", "test", "and", "ok", "x", "42", "...",
)  # fmt: skip
# A word or two that answer nothing.
REMARKS = (
    "ok", "OK.", "hmm", "Hm, interesting.", "haha", "idk", "No idea.", "not sure", "test", "hello",
    "Hi there!", "Thanks!", "thank you", "Good luck.", "I see.", "Sure!", "later", "What?", "??",
    "...", "n/a", "N/A", "null", "undefined", "TODO", "asdf", "qwerty", "foo", "wow", "nice", "huh",
    "Well.", "Let me think.", "Next.", "-", "blah blah", "whatever", "see above", "the end", "stop",
)  # fmt: skip
# Around the problem said again.
RESTATEMENTS = (
    "{}",
    "{}\n\n{}",
    "The task is as follows. {}",
    "Question: {}",
    "So we are asked this: {}",
    "Let me restate what is given.\n\n{}",
    "{}\n\nThat is the question.",
)
# Around a bare answer.
BARE_ANSWERS = ("{}", "Answer: {}", "It is {}.", "#### {}", "$\\boxed{{{}}}$", "{}.", "**{}**")
