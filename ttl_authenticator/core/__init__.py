"""Sessions and limits as pure logic: any process, standard library only."""
